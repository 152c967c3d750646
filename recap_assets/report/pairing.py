"""What each caption source adds to a mix, seed by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recap_assets.evaluation.averages import AVERAGE, averages_by_seed
from recap_assets.evaluation.pairing import Difference, Runs


@dataclass(frozen=True)
class LeftOut:
    """What taking one source out of a mix does on one task.

    Attributes:
        mix: The whole mix.
        source: The source whose captions are taken out.
        task: Evaluation task, or AVERAGE.
        whole: Mean of the whole mix over its seeds.
        without: Mean of the mix without the source, over its seeds.
        change: The mix without the source minus the whole one.
    """

    mix: str
    source: str
    task: str
    whole: float
    without: float
    change: Difference


def left_out(
    results: pl.DataFrame, average: Sequence[str], mixes: Mapping[str, Mapping[str, str]]
) -> list[LeftOut]:
    """What each source adds to each mix, by task, the average first.

    Args:
        results: EVALUATION_RESULTS.
        average: Tasks of the average; empty for all that occur.
        mixes: For each whole mix, the mix without each of its sources. What has no results yet is
            left out.
    """
    tasks = sorted(results.filter("is_main")["task"].unique())
    runs = {AVERAGE: Runs(averages_by_seed(results, average))}
    runs |= {task: Runs.of_task(results, task) for task in tasks}
    return [
        LeftOut(mix, source, task, one.mean(mix), one.mean(other), one.compare(other, mix))
        for mix, by_source in mixes.items()
        for source, other in by_source.items()
        for task, one in runs.items()
        if one.missing({"whole": mix, "without": other}) is None
    ]
