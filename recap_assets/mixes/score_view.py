"""The scores of one source over a pool, read a part at a time."""

from collections.abc import Callable, Iterable
from functools import cached_property

import numpy as np
import polars as pl

from recap_assets.artefacts import Scores, best_scores, is_within, score_histogram
from recap_assets.specs.mixes import RandomSubset


class ScoreView:
    """The scores of one source over a pool, of which only a part is ever in memory.

    Attributes:
        read: Called with a score; yields frames with `uid`, `score` and, where images have several
            candidates, `candidate`. They hold all rows with at least that score, and may hold more
            and null ones; all candidates of an image are in one frame.
        stored: `bin` and `n` of the best candidates, as partitions store them; counted by reading
            everything once where there is none.
    """

    def __init__(
        self, read: Callable[[float], Iterable[pl.DataFrame]], stored: pl.DataFrame | None = None
    ) -> None:
        self.read = read
        self.stored = stored

    @cached_property
    def histogram(self) -> pl.DataFrame:
        """`bin` and `n`, ascending."""
        if self.stored is not None:
            return self.stored.group_by("bin").agg(pl.col("n").sum()).sort("bin")
        parts = [score_histogram(best_scores(frame)) for frame in self.read(-np.inf)]
        parts.append(score_histogram(pl.Series([], dtype=pl.Float32)))
        return pl.concat(parts).group_by("bin").agg(pl.col("n").sum()).sort("bin")

    @property
    def population(self) -> int:
        """Scored images."""
        return int(self.histogram["n"].sum())

    def fetch(self, low: float, high: float) -> Scores:
        """The best candidates' scores from `low` to `high`."""
        parts = [np.empty(0, np.float32)]
        for frame in self.read(low):
            scores = best_scores(frame).drop_nulls().to_numpy()
            parts.append(scores[(scores >= low) & (scores <= high)])
        return np.concatenate(parts)

    def within(self, subset: RandomSubset | None) -> "ScoreView":
        """The same scores over a random part of the pool."""
        if subset is None:
            return self
        return ScoreView(
            lambda low: (frame.filter(is_within(subset, frame["uid"])) for frame in self.read(low))
        )
