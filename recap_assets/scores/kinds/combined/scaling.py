"""Scaling scores by a whole pool's, from facts of its parts, in memory for one part."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.histograms import bins_of, score_histogram
from recap_assets.scores.kinds.combined.spec import Scale

Float64s = NDArray[np.float64]

SCHEMA = pl.Schema({"what": pl.String, "bin": pl.Int32, "value": pl.Float64})


@dataclass(frozen=True)
class Moments:
    """Of some scores: how many, their mean, and the sum of squares of what they differ from it."""

    n: int
    mean: float
    squares: float

    @classmethod
    def of(cls, scores: NDArray[np.float32]) -> "Moments":
        """Those of an array, in float64."""
        if not len(scores):
            return cls(0, 0.0, 0.0)
        # In order of size, so that the sums do not depend on the order of the rows.
        wide = np.sort(scores).astype(np.float64)
        mean = float(wide.mean())
        return cls(len(wide), mean, float(((wide - mean) ** 2).sum()))

    def __add__(self, other: "Moments") -> "Moments":
        """Those of both together (Chan, Golub and LeVeque 1979)."""
        n = self.n + other.n
        if not n:
            return self
        apart, share = other.mean - self.mean, other.n / n
        squares = self.squares + other.squares + apart * apart * self.n * share
        return Moments(n, self.mean + apart * share, squares)


def facts_of(scale: Scale, parts: Iterable[NDArray[np.float32]]) -> pl.DataFrame:
    """What a scale needs to know of scores that come in parts: what, bin, value.

    Args:
        scale: Which.
        parts: The scores of each part, finite; merged in this order.
    """
    if scale == "z":
        moments = sum((Moments.of(part) for part in parts), Moments(0, 0.0, 0.0))
        deviation = float(np.sqrt(moments.squares / max(moments.n, 1)))
        return _named({"mean": moments.mean, "deviation": deviation})
    if scale == "minmax":
        ends = [(float(part.min()), float(part.max())) for part in parts if len(part)] or [(0, 0)]
        return _named({"low": min(ends)[0], "high": max(high for _, high in ends)})
    if scale == "rank":
        counted = pl.concat([score_histogram(part) for part in (np.empty(0, np.float32), *parts)])
        merged = counted.group_by("bin").agg(value=pl.col("n").sum().cast(pl.Float64)).sort("bin")
        return merged.select(pl.lit("n").alias("what"), "bin", "value").cast(SCHEMA)  # type: ignore[arg-type]
    return pl.DataFrame(schema=SCHEMA)


def _named(values: Mapping[str, float]) -> pl.DataFrame:
    rows = [(what, 0, value) for what, value in values.items()]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def scaled(scale: Scale, scores: NDArray[np.float32], facts: pl.DataFrame) -> Float64s:
    """Scores on a scale, in float64; NaN stays.

    Args:
        scale: Which.
        scores: NaN where there is none.
        facts: As `facts_of` gives them, of the pool.
    """
    wide = scores.astype(np.float64)
    if scale == "raw":
        return wide
    if scale == "rank":
        return np.where(np.isnan(wide), np.nan, _midranks(scores, facts))
    known = dict(facts.select("what", "value").iter_rows())
    if scale == "z":
        return _divided(wide - known["mean"], known["deviation"])
    return _divided(wide - known["low"], known["high"] - known["low"])


def _divided(values: Float64s, by: float) -> Float64s:
    return values / by if by > 0 else values * 0.0


def _midranks(scores: NDArray[np.float32], facts: pl.DataFrame) -> Float64s:
    bins, counts = facts["bin"].to_numpy(), facts["value"].to_numpy()
    upto = np.concatenate([[0.0], np.cumsum(counts)])
    own = bins_of(np.nan_to_num(scores))
    below = np.searchsorted(bins, own, side="left")
    through = np.searchsorted(bins, own, side="right")
    return (upto[below] + upto[through]) / (2 * max(upto[-1], 1.0))
