"""The average of the tasks of each training run."""

from collections.abc import Sequence

import polars as pl

AVERAGE = "average"
"""The task under which the leaderboard lists the mean over tasks."""

SEEDED = ("mix", "seed", "task", "metric", "value")


def averages_by_seed(results: pl.DataFrame, average: Sequence[str]) -> pl.DataFrame:
    """The mean of the main metrics of each training run.

    Args:
        results: EVALUATION_RESULTS.
        average: Tasks of the average; empty for all that occur.

    Returns:
        Columns mix, seed, task (`average`), metric (`mean`), value; only runs with every task.
    """
    main, tasks = main_metrics(results), averaged_tasks(results, average)
    return (
        main.filter(pl.col("task").is_in(tasks))
        .sort(SEEDED)
        .group_by("mix", "seed", maintain_order=True)
        .agg(value=pl.col("value").mean(), n_tasks=pl.col("task").n_unique())
        .filter(pl.col("n_tasks") == len(tasks))
        .select("mix", "seed", task=pl.lit(AVERAGE), metric=pl.lit("mean"), value="value")
    )


def averaged_tasks(results: pl.DataFrame, average: Sequence[str]) -> list[str]:
    """The tasks of the average, sorted: those that are named, or all that occur."""
    return sorted(set(average) or set(main_metrics(results)["task"].unique()))


def main_metrics(results: pl.DataFrame) -> pl.DataFrame:
    """The main metric of each task: columns SEEDED, of EVALUATION_RESULTS."""
    return results.filter("is_main").select(SEEDED)
