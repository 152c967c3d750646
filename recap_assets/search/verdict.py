"""The trainings of a search as rows, and what the last round says of the best proposal."""

from collections.abc import Iterable, Sequence

import polars as pl

from recap_assets.artefacts import SEARCH_TRIALS, STATUS_OK, STATUS_REJECTED
from recap_assets.evaluation.pairing import Difference, Runs
from recap_assets.search.halving import Training

BETTER, NO_BETTER, UNDECIDED = "better", "no better", "undecided"


def rows_of(trainings: Iterable[Training]) -> pl.DataFrame:
    """SEARCH_TRIALS without `search`, in the table's order."""
    rows = [
        {
            "round": one.round.number,
            "trial": one.candidate.name,
            "seed": one.seed,
            "samples_seen": one.round.samples_seen,
            "settings": one.candidate.written,
            "value": one.result.value,
            "n_pairs": one.result.n_pairs,
            "status": STATUS_OK if one.result.reason is None else STATUS_REJECTED,
            "reject_reason": one.result.reason,
        }
        for one in trainings
    ]
    frame = pl.DataFrame(
        rows, {name: SEARCH_TRIALS.schema[name] for name in SEARCH_TRIALS.columns if name in ROW}
    )
    best = best_two(frame)
    is_best = pl.col("round").eq(pl.col("round").max()) & pl.col("trial").is_in(best)
    of_found = is_best & pl.col("settings").is_not_null()
    return frame.with_columns(
        is_best=is_best,
        verdict=pl.when(of_found).then(pl.lit(verdict_of(difference(frame, best)))),
    ).sort(SEARCH_TRIALS.order)


ROW = (
    "round", "trial", "seed", "samples_seen", "settings", "value", "n_pairs", "status",
    "reject_reason",
)  # fmt: skip
"""The columns that a training has; the others follow from all of them."""


def best_two(rows: pl.DataFrame) -> list[str]:
    """The best proposal and the best hand-made mix of the last round; fewer where there is none.

    Of equal means over the seeds the earlier in the order of names is the best. What has no value
    for one of the seeds is none.

    Args:
        rows: Columns ROW.
    """
    ranked = standing(rows)
    found = ranked.filter(pl.col("settings").is_not_null())["trial"].head(1)
    made = ranked.filter(pl.col("settings").is_null())["trial"].head(1)
    return [*found, *made]


def standing(rows: pl.DataFrame) -> pl.DataFrame:
    """The candidates of the last round, the best first: trial, settings, mean, deviation, n_pairs.

    Args:
        rows: Columns ROW.
    """
    last = rows.filter(pl.col("round") == pl.col("round").max())
    of_trial = last.group_by("trial", "settings").agg(
        mean=pl.col("value").mean(),
        deviation=pl.col("value").std(ddof=1),
        n_pairs=pl.col("n_pairs").first(),
        is_whole=pl.col("value").is_not_null().all(),
    )
    whole = of_trial.filter("is_whole").drop("is_whole")
    return whole.sort("mean", "trial", descending=[True, False])


def difference(rows: pl.DataFrame, best: Sequence[str]) -> Difference | None:
    """The best proposal minus the best hand-made mix, on the seeds of the last round.

    Args:
        rows: Columns ROW.
        best: Of `best_two`; None comes back where there are not two.
    """
    if len(best) < 2:
        return None
    last = rows.filter(pl.col("round") == pl.col("round").max(), pl.col("value").is_not_null())
    found, made = best
    return Runs(last.select("seed", "value", mix="trial")).compare(found, made)


def verdict_of(margin: Difference | None) -> str:
    """By the bar of every comparison here: the mean difference exceeds its deviation."""
    if margin is None or margin.holds is None:
        return UNDECIDED
    return BETTER if margin.holds else NO_BETTER
