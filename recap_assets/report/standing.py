"""Which mix may be called the best on a task: the one whose lead over each other exceeds noise.

The bar is that of `report.findings`: the difference is taken seed by seed, and its mean must
exceed its standard deviation. One seed has no deviation, so of one nothing is claimed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from recap_assets.evaluation.averages import averages_by_seed, main_metrics
from recap_assets.evaluation.pairing import Difference, Runs

RUNS = pl.Schema({"mix": pl.String, "task": pl.String, "seed": pl.Int64, "value": pl.Float64})
"""The main metric of each training run on each task, and its average over the tasks."""

Standing = Literal["alone", "leads", "tied", "no claim"]


@dataclass(frozen=True)
class Ranking:
    """What may be said of the mix with the highest mean on a task.

    Attributes:
        best: The mix.
        standing: `alone` where there is no other, `leads` where its lead over each other one
            exceeds its deviation, `tied` where it does not, `no claim` without a deviation.
        tied_with: The others that it does not lead, the next best first.
        lead: Over the first of those, or over the next best.
    """

    best: str
    standing: Standing
    tied_with: tuple[str, ...] = ()
    lead: Difference | None = None


def runs_of(results: pl.DataFrame, average: Sequence[str]) -> pl.DataFrame:
    """RUNS, of EVALUATION_RESULTS.

    Args:
        results: EVALUATION_RESULTS.
        average: Tasks of the average; empty for all that occur.
    """
    parts = [main_metrics(results), averages_by_seed(results, average)]
    return pl.concat(parts).select(pl.col(name).cast(dtype) for name, dtype in RUNS.items())


def ranking(runs: pl.DataFrame, ranked: Sequence[str]) -> Ranking:
    """What may be said of the first mix.

    Args:
        runs: RUNS of one task.
        ranked: Its mixes, the highest mean first; one at least.
    """
    best, *others = ranked
    if not others:
        return Ranking(best, "alone")
    of_task = Runs(runs)
    leads = {mix: _lead(of_task, best, mix) for mix in others}
    if any(lead.holds is None for lead in leads.values()):
        return Ranking(best, "no claim", lead=leads[others[0]])
    tied = tuple(mix for mix, lead in leads.items() if not lead.holds)
    first = tied[0] if tied else others[0]
    return Ranking(best, "tied" if tied else "leads", tied, leads[first])


def _lead(runs: Runs, best: str, other: str) -> Difference:
    if runs.missing({"best": best, "other": other}) is not None:
        return Difference(None, None, 0)
    return runs.compare(best, other)


def is_at_chance(mean: float, deviation: float | None, chance: float | None) -> bool:
    """Whether a mean is no more than a deviation above what guessing gives, where both are known.

    Args:
        mean: Fraction of one.
        deviation: Over seeds; None for one seed.
        chance: What guessing gives; None where it is not known.
    """
    return chance is not None and deviation is not None and mean - chance <= deviation
