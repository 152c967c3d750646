"""Every mix side by side."""

from collections.abc import Sequence

import polars as pl

from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.evaluation.averages import SEEDED, averages_by_seed, main_metrics
from recap_assets.evaluation.datacomp.aggregation import group_rows


def leaderboard(
    results: pl.DataFrame,
    mixes: pl.DataFrame,
    average: Sequence[str],
    *,
    with_groups: bool = False,
) -> pl.DataFrame:
    """Mean and deviation over seeds of each mix's main metric on each task and on their average.

    Args:
        results: EVALUATION_RESULTS; rows whose `is_main` is false are ignored.
        mixes: Columns mix, n_pairs, raw_share: a row a mix. Results of other mixes are left out.
        average: Tasks of the average; empty for all that occur.
        with_groups: List DataComp's groups as well, `datacomp/vtab` and the like.

    Returns:
        LEADERBOARD. The average is taken over the tasks within each seed, then over seeds. A seed
        that lacks one of the tasks has no average, since it would compare other tasks; a mix
        without any complete seed has no such row. `deviation` is with n - 1, null for one seed.
    """
    parts = [main_metrics(results), averages_by_seed(results, average)]
    if with_groups:
        parts.append(group_rows(results))
    return (
        pl.concat(parts)
        .sort(SEEDED)
        .group_by("mix", "task", "metric", maintain_order=True)
        .agg(
            mean=pl.col("value").mean(),
            deviation=pl.col("value").std(ddof=1),
            n_seeds=pl.col("seed").n_unique().cast(pl.Int64),
        )
        .join(mixes.select("mix", "n_pairs", "raw_share"), on="mix")
        .select(pl.col(name).cast(dtype) for name, dtype in LEADERBOARD.schema.items())
        .sort(*LEADERBOARD.order)
    )
