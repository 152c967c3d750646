"""The scores of one source over a pool, read a part at a time."""

from collections.abc import Callable, Iterable
from functools import cached_property

import numpy as np
import polars as pl

from recap_assets.artefacts import Scores, best_scores, is_within, score_histogram
from recap_assets.mixes.thresholds import Cut, cut_at_rank, cut_at_value, rank_of_fraction
from recap_assets.specs.mixes import RandomSubset


class ScoreView:
    """The scores of one source over a pool, of which only a part is ever in memory.

    Attributes:
        read: Called with a score; yields frames with `uid`, `score` and, where images have several
            candidates, `candidate`. They hold all rows with at least that score, and may hold more
            and null ones; all candidates of an image are in one frame.
        stored: `bin` and `n` of the best candidates, as partitions store them; counted by reading
            everything once where there is none.
        near: A faster way to the best candidates' scores between two numbers, ends included; called
            with infinities for all. It returns None where it is none.
    """

    def __init__(
        self,
        read: Callable[[float], Iterable[pl.DataFrame]],
        stored: pl.DataFrame | None = None,
        near: Callable[[float, float], Iterable[Scores] | None] = lambda _low, _high: None,
    ) -> None:
        self.read, self.stored, self.near = read, stored, near
        self._cuts: dict[tuple[str, float], Cut] = {}
        self._within: dict[RandomSubset, ScoreView] = {}

    @cached_property
    def histogram(self) -> pl.DataFrame:
        """`bin` and `n`, ascending."""
        if self.stored is not None:
            return self.stored.group_by("bin").agg(pl.col("n").sum()).sort("bin")
        if (every := self.near(-np.inf, np.inf)) is None:
            every = (best_scores(frame) for frame in self.read(-np.inf))
        parts = [score_histogram(pl.Series([], dtype=pl.Float32)), *map(score_histogram, every)]
        return pl.concat(parts).group_by("bin").agg(pl.col("n").sum()).sort("bin")

    @property
    def population(self) -> int:
        """Scored images."""
        return int(self.histogram["n"].sum())

    def fetch(self, low: float, high: float) -> Scores:
        """The best candidates' scores from `low` to `high`."""
        parts = [np.empty(0, np.float32)]
        if (scores := self.near(low, high)) is not None:
            return np.concatenate([*parts, *scores])
        for frame in self.read(low):
            scores = best_scores(frame).drop_nulls().to_numpy()
            parts.append(scores[(scores >= low) & (scores <= high)])
        return np.concatenate(parts)

    def cut(self, kind: str, requested: float) -> Cut:
        """A cut-off as realised; found once, however many mixes ask for it.

        Args:
            kind: `absolute`, `quantile` or `size`.
            requested: The score, the share or the number.

        Raises:
            IndexError: A share or a number is asked for, and there are no scores.
            ScoresChangedError: The stored histogram is not that of the scores.
        """
        key = (kind, requested)
        if key not in self._cuts:
            self._cuts[key] = self._realised(kind, requested)
        return self._cuts[key]

    def _realised(self, kind: str, requested: float) -> Cut:
        if kind == "absolute":
            return cut_at_value(self.histogram, self.fetch, requested)
        if kind == "quantile":
            rank = rank_of_fraction(self.population, requested)
        else:
            rank = min(int(requested), self.population) - 1
        return cut_at_rank(self.histogram, self.fetch, rank)

    def within(self, subset: RandomSubset | None) -> "ScoreView":
        """The same scores over a random part of the pool."""
        if subset is None:
            return self
        if subset not in self._within:
            self._within[subset] = ScoreView(
                lambda low: (
                    frame.filter(is_within(subset, frame["uid"])) for frame in self.read(low)
                )
            )
        return self._within[subset]
