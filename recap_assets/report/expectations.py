"""What a recipe expects, evaluated by the run's own numbers.

Mixes are compared seed by seed, with the bar of `report.findings`: the mean difference must exceed
its deviation over the seeds. A caption source has one value, of one captioner.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recap_assets.evaluation.averages import averages_by_seed
from recap_assets.evaluation.pairing import Runs
from recap_assets.report.findings import Claim, Verdict
from recap_assets.specs.recipe import AVERAGE, Expectation

_ONE_MODEL = "One value of each source, so by how much another training would move it is not known."


@dataclass(frozen=True)
class Measured:
    """What a run measured.

    Attributes:
        results: EVALUATION_RESULTS.
        average: Tasks of the average; empty for all that occur.
        captions: CAPTION_METRICS.
        diversity: DIVERSITY_SUMMARY.
        scores: SCORE_MEANS by scorer.
    """

    results: pl.DataFrame
    average: Sequence[str]
    captions: pl.DataFrame
    diversity: pl.DataFrame
    scores: Mapping[str, pl.DataFrame]

    def runs(self, on: str) -> Runs:
        """A value for each mix and seed: of the average, a task's main metric or another one."""
        task, _, metric = on.partition(".")
        if task == AVERAGE:
            return Runs(averages_by_seed(self.results, self.average))
        if not metric:
            return Runs.of_task(self.results, task)
        return Runs(self.results.filter(task=task, metric=metric))

    def of_sources(self, on: str) -> Mapping[str, float]:
        """A value for each source."""
        measure, _, name = on.partition(".")
        if measure == "captions":
            rows = self.captions.filter(metric=name).group_by("source").agg(pl.col("value").mean())
        elif measure == "score":
            rows = self.scores[name].select("source", value="mean")
        elif name in self.diversity.columns:
            rows = self.diversity.select("source", value=pl.col(name).cast(pl.Float64))
        else:
            return {}
        return dict(rows.drop_nulls().select("source", "value").iter_rows())


def expected(one: Expectation, measured: Measured) -> Claim:
    """What a run says of one expectation."""
    return _of_sources(one, measured) if one.of_sources else _of_mixes(one, measured)


def _of_mixes(one: Expectation, measured: Measured) -> Claim:
    runs = measured.runs(one.on)
    if missing := runs.missing({"better": one.better, "than": one.than}):
        return _claim(one, "not measured", "", f"Not measured: {missing} on {one.on}.")
    margin = runs.compare(one.better, one.than)
    figure = (
        f"{one.better} {runs.percent(one.better)}, {one.than} {runs.percent(one.than)} "
        f"({margin.text})"
    )
    if margin.holds is None or margin.mean is None:
        reason = "Not measured: two seeds at least are needed for a deviation."
        return _claim(one, "not measured", figure, reason)
    holds = margin.holds and margin.mean > one.by
    return _claim(one, _verdict(holds=holds), figure, "Differences are taken seed by seed.")


def _of_sources(one: Expectation, measured: Measured) -> Claim:
    values = measured.of_sources(one.on)
    absent = [name for name in (one.better, one.than) if name not in values]
    if absent:
        missing = f"{one.on} of {', '.join(absent)} is not there"
        return _claim(one, "not measured", "", f"Not measured: {missing}.")
    better, than = values[one.better], values[one.than]
    figure = f"{one.better} {better:.4g}, {one.than} {than:.4g} ({better - than:+.3g})"
    return _claim(one, _verdict(holds=better - than > one.by), figure, _ONE_MODEL)


def _claim(one: Expectation, verdict: Verdict, figure: str, note: str) -> Claim:
    return Claim(f"{one.better} > {one.than} on {one.on}", one.statement, verdict, figure, note)


def _verdict(*, holds: bool) -> Verdict:
    return "reproduced" if holds else "not reproduced"
