"""What the head of the page says of the best mix on average, and no more than the seeds allow."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from recap_assets.evaluation.averages import AVERAGE
from recap_assets.report.standing import Ranking, is_at_chance, ranking


@dataclass(frozen=True)
class Headline:
    """The best mix on average, fractions of one.

    Attributes:
        ranking: What may be said of it.
        mean: Of the best one.
        deviation: Of the best one over seeds; None for one seed.
        chance: What guessing gives on average; None where it is not known.
        baseline: The mix that it is compared with; None for none.
        baseline_mean: Likewise.
    """

    ranking: Ranking
    mean: float
    deviation: float | None
    chance: float | None = None
    baseline: str | None = None
    baseline_mean: float | None = None

    @property
    def is_at_chance(self) -> bool:
        """Whether even the best is no better than guessing."""
        return is_at_chance(self.mean, self.deviation, self.chance)


def headline(
    board: pl.DataFrame,
    runs: pl.DataFrame,
    ranked: Sequence[str],
    baseline: str | None,
    chance: float | None,
) -> Headline | None:
    """The headline; None where nothing was evaluated.

    Args:
        board: LEADERBOARD without mixes on a part of the pool.
        runs: RUNS.
        ranked: The mixes, the best average first.
        baseline: The mix that the best one is compared with.
        chance: What guessing gives on average.
    """
    averages = board.filter(pl.col("task") == AVERAGE)
    rows = {row["mix"]: row for row in averages.iter_rows(named=True)}
    measured = [mix for mix in ranked if mix in rows]
    if not measured:
        return None
    found = ranking(runs.filter(pl.col("task") == AVERAGE), measured)
    best = rows[found.best]
    if baseline not in rows or baseline == found.best:
        return Headline(found, best["mean"], best["deviation"], chance)
    below = rows[baseline]["mean"]
    return Headline(found, best["mean"], best["deviation"], chance, baseline, below)
