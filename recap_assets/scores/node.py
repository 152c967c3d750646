"""The asset of a scorer's scores of a source, whatever kind of scorer it is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from recap_assets.artefacts.captions import texts_of
from recap_assets.artefacts.histograms import score_histogram
from recap_assets.artefacts.previews import histogram_markdown, preview_markdown
from recap_assets.artefacts.scores import BEYOND, CLIP_SCORES, SCORE_HISTOGRAMS, best_scores
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import Outside
from recap_assets.graph.project import Project
from recap_assets.scores.kind import ByPairs
from recap_assets.scores.opened import Kinds, scorer_named
from recap_assets.specs.base import Spec, deciding
from recap_assets.specs.running import gpus_of
from recap_assets.untrusted.errors import RecapError

STAGE = "scores"
MOST = 1.001
"""A bounded score is nearer to 0 than this, rounding included."""


class ScoreError(RecapError, ValueError):
    """A scorer gave what is no score. The text says which one, and what a score is."""


@dataclass(frozen=True)
class Scored:
    """The scores of one partition.

    Attributes:
        rows: Shard, uid, candidate, score; null where there is no score. Where rows may be reused
            with `input_hash`.
        texts: What was scored, as `texts_of` gives it, for the preview; read again where it is
            not given.
        rejected: Texts without a score, by reason.
        facts: More for people.
    """

    rows: pl.DataFrame
    texts: pl.DataFrame | None = None
    rejected: Mapping[str, int] = field(default_factory=dict[str, int])
    facts: Mapping[str, str | int | float] = field(default_factory=dict[str, str | int | float])


def node_of(
    project: Project,
    name: str,
    source: str,
    score: Callable[[Step], Scored],
    *,
    version: int,
    reads: Iterable[Dependency],
    outside: Outside | None = None,
    beside: Mapping[str, Spec] | None = None,
) -> Node:
    """The asset `clip_scores/NAME/SOURCE`.

    Args:
        project: Whose it is.
        name: The scorer.
        source: Whose texts are scored.
        score: Scores a pool partition.
        version: Of the code that scores, raised by hand when it gives another result.
        reads: The assets that it reads, those with the texts among them.
        outside: Version of what it reads beside assets.
        beside: Specs that decide the scores beside the scorer's own, by what they are.
    """
    spec = scorer_named(project, name)
    at = {"scorer": name, "source": source}
    return Node(
        key=CLIP_SCORES.key(name, source),
        stage=STAGE,
        dimension="pool",
        dependencies=tuple(dict.fromkeys(reads)),
        implementation=version,
        decides=deciding(scorer=spec, source=source, **(beside or {})),
        compute=lambda step: scored_rows(project, name, source, score(step), step),
        description=f"The {spec.score_is}, for every caption of {source}, by {name}.",
        outside=outside,
        content=StoredRows(project.workspace.tables, CLIP_SCORES, at, beside=(SCORE_HISTOGRAMS,)),
        seconds=spec.seconds,
        pool="gpu" if spec.on_gpu else "cpu",
        n_gpus=gpus_of(spec),
        by_shard=isinstance(spec, ByPairs),
        kinds=(spec.framework, "deltalake"),
        checks=(_range_check(project, at, bounded=spec.bounded),),
        is_worth_keeping=True,
    )


def scored_rows(project: Project, name: str, source: str, found: Scored, step: Step) -> Rows:
    """What is written of a partition's scores, and shown.

    Raises:
        ScoreError: A score is not finite, or outside of what the kind says.
    """
    spec, texts = scorer_named(project, name), found.texts
    _check(f"the scorer {name} ({spec.word})", spec, found.rows["score"], "text")
    if texts is None:
        texts = texts_of(project.workspace.tables, source, step.partition)
    histogram = score_histogram(best_scores(found.rows))
    mean = found.rows["score"].mean()
    return Rows(
        found.rows,
        (histogram,),
        rejected={reason: n for reason, n in found.rejected.items() if n},
        facts={
            "mean_score": round(float(mean), 4) if mean is not None else "none",  # type: ignore[arg-type]
            **found.facts,
        },
        markdown={
            "best_and_worst": preview_markdown(best_and_worst(found.rows, texts)),
            "histogram": histogram_markdown(histogram),
        },
        machine=spec.given_by,
    )


def scores_in(spec: Kinds, scores: object, n: int, of: str) -> pl.Series:
    """What a model gave as a column, null for NaN.

    Args:
        spec: The scorer.
        scores: What it gave.
        n: How many it was asked for.
        of: What has a score: `pair` or `text`.

    Raises:
        ScoreError: It is no number for each, or one is outside of what the kind says.
    """
    values, by = np.asarray(scores, np.float32), f" of {spec.distribution}"
    who = f"the scorer {spec.word}{by if spec.distribution else ''}"
    who = f"{who} {spec.distribution_version}".rstrip()
    if values.shape != (n,):
        msg = f"{who} gave scores of shape {values.shape} for {n} {of}s"
        raise ScoreError(msg)
    found = pl.Series("score", values, dtype=pl.Float32).fill_nan(None)
    _check(who, spec, found, of)
    return found


def _check(who: str, spec: Kinds, scores: pl.Series, of: str) -> None:
    wrong = scores.to_frame().filter(_is_outside(bounded=spec.bounded))["score"]
    if len(wrong):
        is_ = "in [-1, 1]" if spec.bounded else "a finite number"
        msg = f"{who} gave {wrong[0]} for a {of}; a score is {is_}, or NaN for none"
        raise ScoreError(msg)


def _is_outside(*, bounded: bool) -> pl.Expr:
    score, most = pl.col("score"), MOST if bounded else BEYOND
    return score.is_not_null() & (score.is_nan() | (score.abs() >= most))


def best_and_worst(rows: pl.DataFrame, texts: pl.DataFrame, n: int = 4) -> pl.DataFrame:
    """The `n` best and the `n` worst scored texts: score, text; all of them where there are few."""
    scored = rows.drop_nulls("score").join(texts, on=["uid", "candidate"])
    ranked = scored.sort("score", descending=True).select("score", "text")
    return ranked if ranked.height <= 2 * n else pl.concat([ranked.head(n), ranked.tail(n)])


def _range_check(project: Project, at: Mapping[str, str], *, bounded: bool) -> Check:
    def evaluate(partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.scan(CLIP_SCORES, scorer=at["scorer"], source=at["source"])
        figures = (
            rows.filter(pl.col("partition").is_in(partitions))
            .select(
                scores=pl.len(),
                unscored=pl.col("score").null_count(),
                outside=_is_outside(bounded=bounded).sum(),
            )
            .collect()
            .row(0, named=True)
        )
        return Verdict(figures["outside"] == 0, figures)

    if bounded:
        words = "Every score is finite and between -1 and 1."
        return Check("scores_are_in_range", words, evaluate)
    return Check("scores_are_finite", "Every score is a finite number.", evaluate)
