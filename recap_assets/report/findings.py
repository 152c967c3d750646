"""The paper's claims, each evaluated by the run's own numbers (arXiv 2307.10350).

The bar is the same for every comparison of trained models: the difference is taken seed by seed,
and its mean over the seeds must exceed its standard deviation (n - 1). One seed has no deviation,
so it decides nothing. Percentages are points of 100.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from recap_assets.evaluation.averages import averages_by_seed
from recap_assets.evaluation.pairing import Difference, Runs, unnamed
from recap_assets.specs.report import Report
from recap_assets.specs.sources import RAW

RETRIEVAL_FACTOR = 1.5

Verdict = Literal["reproduced", "not reproduced", "holds by design", "not measured"]

SCORE_MEANS = pl.Schema({"source": pl.String, "mean": pl.Float64, "n": pl.Int64})
"""Mean score of a source's captions by the first scorer over the pool, and how many were scored."""

REFERENCE_METRICS = pl.Schema({"source": pl.String, "mix": pl.String, "value": pl.Float64})
"""A captioner's reference metric (CIDEr, ...) and the mix that is trained on its captions alone."""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper and what this run says of it.

    Attributes:
        name: Short identifier.
        statement: What is claimed, in a sentence.
        verdict: What this run shows.
        figure: The numbers that the verdict rests on; empty where nothing was measured.
        note: What a reader must know before believing it; may be empty.
    """

    name: str
    statement: str
    verdict: Verdict
    figure: str
    note: str


@dataclass(frozen=True)
class Evidence:
    """What the claims are evaluated by.

    Attributes:
        results: EVALUATION_RESULTS.
        average: Tasks of the average; empty for all that occur.
        diversity: DIVERSITY_SUMMARY.
        scores: SCORE_MEANS.
        references: REFERENCE_METRICS, or None where no reference metric was measured.
        embedded_world: Whether the pool is the embedded world, where some things hold by design.
    """

    results: pl.DataFrame
    average: Sequence[str]
    diversity: pl.DataFrame
    scores: pl.DataFrame
    references: pl.DataFrame | None = None
    embedded_world: bool = False


def evaluate(report: Report, evidence: Evidence) -> list[Claim]:
    """Evaluate every claim; what cannot be evaluated is said to be not measured, with the reason.

    Args:
        report: Which mixes play which part.
        evidence: The numbers of the run.
    """
    return [
        _average(report, evidence),
        _retrieval(report, evidence),
        _scores(evidence),
        _diversity(evidence),
        _fine(report, evidence),
        _references(evidence),
    ]


def _average(report: Report, evidence: Evidence) -> Claim:
    name = "average"
    statement = (
        "On average over the tasks, filtered raw text beats all raw text, and a mix of raw and "
        "synthetic captions beats filtered raw text."
    )
    runs = Runs(averages_by_seed(evidence.results, evidence.average))
    best = runs.best(report.mixed)
    missing = runs.missing({"raw": report.raw, "raw_filtered": report.raw_filtered, "mixed": best})
    if missing or report.raw is None or report.raw_filtered is None or best is None:
        return _not_measured(name, statement, missing)
    filtering = runs.compare(report.raw_filtered, report.raw)
    mixing = runs.compare(best, report.raw_filtered)
    figure = (
        f"{report.raw} {runs.percent(report.raw)}, "
        f"{report.raw_filtered} {runs.percent(report.raw_filtered)} ({filtering.text}), "
        f"{best} {runs.percent(best)} ({mixing.text})"
    )
    notes = [_SEEDS]
    if len(report.mixed) > 1:
        notes.append(f"{best} is the best of {len(report.mixed)} mixes on these same seeds.")
    return _compared(name, statement, [filtering, mixing], figure, " ".join(notes))


def _retrieval(report: Report, evidence: Evidence) -> Claim:
    name = "retrieval"
    statement = (
        f"With synthetic captions, alone or mixed, retrieval recall is at least "
        f"{RETRIEVAL_FACTOR} times that of filtered raw text."
    )
    runs = Runs.of_task(evidence.results, report.retrieval_task)
    named = (*report.synthetic, *report.mixed)
    wanted = {"retrieval_task": report.retrieval_task, "raw_filtered": report.raw_filtered}
    wanted |= {"synthetic or mixed": named[0] if named else None}
    missing = unnamed(wanted) or runs.missing(dict(zip(named, named, strict=True)))
    missing = missing or runs.missing({"raw_filtered": report.raw_filtered})
    if missing or report.raw_filtered is None:
        return _not_measured(name, statement, missing)
    base = report.raw_filtered
    margins = [runs.compare(mix, base, factor=RETRIEVAL_FACTOR) for mix in named]
    parts = [f"{mix} {runs.percent(mix)} ({runs.ratio(mix, base)})" for mix in named]
    figure = f"{base} {runs.percent(base)}; {', '.join(parts)}"
    note = f"Every mix must exceed {RETRIEVAL_FACTOR} times by more than the deviation. {_SEEDS}"
    if evidence.embedded_world:
        note += (
            " The factor is inflated here: the reference captions of the embedded world share "
            "their grammar with the text that the captioner learned from."
        )
    return _compared(name, statement, margins, figure, note)


def _scores(evidence: Evidence) -> Claim:
    name = "scores"
    statement = "Synthetic captions fit their images better than raw text: a higher mean score."
    means = {row["source"]: row for row in evidence.scores.drop_nulls("mean").to_dicts()}
    synthetic = sorted(set(means) - {RAW})
    if RAW not in means or not synthetic:
        return _not_measured(name, statement, "scores of raw and of a synthetic source are needed")
    raw = means[RAW]["mean"]
    figure = ", ".join(
        f"{source} {means[source]['mean']:.3f} (n = {means[source]['n']:,})"
        for source in (RAW, *synthetic)
    )
    holds = all(means[source]["mean"] > raw for source in synthetic)
    note = "Means over all scored captions of the pool, by the scorer that filters."
    return Claim(name, statement, _verdict(holds=holds), figure, note)


def _diversity(evidence: Evidence) -> Claim:
    name = "diversity"
    statement = (
        "As a population, synthetic captions are less diverse: fewer unique trigrams and nouns."
    )
    rows = {row["source"]: row for row in evidence.diversity.to_dicts()}
    synthetic = sorted(set(rows) - {RAW})
    if RAW not in rows or not synthetic:
        return _not_measured(name, statement, "raw and a synthetic source are needed")
    same = ("sample_size", "tokeniser", "lexicon")
    if evidence.diversity.select(same).n_unique() > 1:
        what = "sample size, tokeniser or lexicon differ between sources: not comparable"
        return _not_measured(name, statement, what)
    raw = rows[RAW]
    counts = ("unique_trigrams", "unique_nouns")
    holds = all(rows[source][count] < raw[count] for source in synthetic for count in counts)
    figure = ", ".join(
        f"{source} {rows[source]['unique_trigrams']:,} trigrams "
        f"and {rows[source]['unique_nouns']:,} nouns"
        for source in (RAW, *synthetic)
    )
    note = f"Distinct ones in {raw['sample_size']:,} captions of each source."
    return Claim(name, statement, _verdict(holds=holds), figure, note)


def _fine(report: Report, evidence: Evidence) -> Claim:
    name = "fine classification"
    statement = (
        "On fine-grained classification the mix of raw and synthetic captions is above filtered "
        "raw text and above synthetic text alone."
    )
    averages = Runs(averages_by_seed(evidence.results, evidence.average))
    best = averages.best(report.mixed)
    runs = Runs.of_task(evidence.results, report.fine_task)
    alone = runs.best(report.synthetic)
    wanted = {"raw_filtered": report.raw_filtered, "mixed": best, "synthetic": alone}
    missing = unnamed({"fine_task": report.fine_task}) or runs.missing(wanted)
    if missing or report.raw_filtered is None or best is None or alone is None:
        return _not_measured(name, statement, missing)
    others = (report.raw_filtered, alone)
    margins = [runs.compare(best, other) for other in others]
    figure = f"{best} {runs.percent(best)}; " + ", ".join(
        f"{other} {runs.percent(other)} ({margin.text})"
        for other, margin in zip(others, margins, strict=True)
    )
    note = (
        f"{best} is the best mix on average, {alone} the best synthetic one on this task. {_SEEDS} "
        "Expected only where data is short; with a larger pool filtered raw text catches up."
    )
    return _compared(name, statement, margins, figure, note)


def _references(evidence: Evidence) -> Claim:
    name = "reference metric"
    statement = (
        "The captioner with the best reference metric (CIDEr) is not the best one to train on."
    )
    runs = Runs(averages_by_seed(evidence.results, evidence.average))
    if evidence.references is None:
        return _not_measured(name, statement, "no reference metric in this experiment")
    rows = evidence.references.sort("value", "source", descending=[True, False]).to_dicts()
    rows = [row for row in rows if runs.missing({"mix": row["mix"]}) is None]
    if len(rows) < 2:
        return _not_measured(name, statement, "two captioners with a mix of their own are needed")
    first = rows[0]["mix"]
    rival = runs.best([row["mix"] for row in rows[1:]])
    assert rival is not None, "the rows were found among the runs"  # noqa: S101 - see the filter
    margin = runs.compare(rival, first)
    figure = ", ".join(
        f"{row['source']} {row['value']:.2f}, average {runs.percent(row['mix'])}" for row in rows
    )
    claim = _compared(name, statement, [margin], f"{figure} ({margin.text})", _SEEDS)
    if not evidence.embedded_world or claim.verdict != "reproduced":
        return claim
    note = "The references of the embedded world were chosen so that this happens; no evidence."
    return Claim(name, statement, "holds by design", claim.figure, note)


_SEEDS = "Differences are taken seed by seed: mean ± deviation."


def _compared(
    name: str, statement: str, margins: Sequence[Difference], figure: str, note: str
) -> Claim:
    verdicts = [margin.holds for margin in margins]
    if False in verdicts:
        return Claim(name, statement, "not reproduced", figure, note)
    if None in verdicts:
        reason = "Two seeds at least are needed for a deviation."
        return Claim(name, statement, "not measured", figure, f"{reason} {note}")
    return Claim(name, statement, "reproduced", figure, note)


def _verdict(*, holds: bool) -> Verdict:
    return "reproduced" if holds else "not reproduced"


def _not_measured(name: str, statement: str, reason: str | None) -> Claim:
    note = f"Not measured: {reason}." if reason else ""
    return Claim(name, statement, "not measured", "", note)
