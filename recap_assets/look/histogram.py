"""Histograms of scores as the points of lines, to be drawn over each other in a page."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from recap_assets.artefacts.histograms import BIN_WIDTH

N_BARS = 96
WIDTH, HEIGHT = 960, 200


@dataclass(frozen=True)
class Bars:
    """Shares of scores by bar, all between the same ends.

    Attributes:
        low: The lowest score shown.
        high: The highest.
        shares: By source, the share of its scores in each of N_BARS bars.
        counts: Scores in each bar of the column that is ranked.
    """

    low: float
    high: float
    shares: Mapping[str, tuple[float, ...]]
    counts: tuple[int, ...]

    @property
    def population(self) -> int:
        """Scores that are ranked."""
        return sum(self.counts)

    def path(self, source: str) -> str:
        """The outline as an SVG path in a box of WIDTH by HEIGHT."""
        most = max((share for shares in self.shares.values() for share in shares), default=0) or 1
        step = WIDTH / N_BARS
        tops = [HEIGHT * (1 - 0.94 * share / most) for share in self.shares[source]]
        points = [f"L{i * step:.1f} {y:.1f}H{(i + 1) * step:.1f}" for i, y in enumerate(tops)]
        return f"M0 {HEIGHT}{''.join(points)}V{HEIGHT}Z"

    def place(self, score: float | None) -> float:
        """Where a score is from left to right, in the box."""
        if score is None or self.high <= self.low:
            return 0.0
        return max(0.0, min(1.0, (score - self.low) / (self.high - self.low))) * WIDTH


def bars_of(histograms: Mapping[str, pl.DataFrame], ranked: str) -> Bars:
    """The bars of histograms with bins of 1e-4.

    Args:
        histograms: `bin` and `n` by source.
        ranked: The source whose scores are ranked.
    """
    bins = pl.concat([histogram["bin"] for histogram in histograms.values()])
    low, high = (int(bins.min() or 0), int(bins.max() or 0)) if len(bins) else (0, 1)  # type: ignore[arg-type]
    per_bar = max(1, -(-(high - low + 1) // N_BARS))
    counted = {name: _counts(one, low, per_bar) for name, one in histograms.items()}
    shares = {name: tuple(n / max(1, sum(ns)) for n in ns) for name, ns in counted.items()}
    ends = low * BIN_WIDTH - 1, (low + N_BARS * per_bar) * BIN_WIDTH - 1
    return Bars(*ends, shares, counted[ranked])


def _counts(histogram: pl.DataFrame, low: int, per_bar: int) -> tuple[int, ...]:
    bars = histogram.group_by((pl.col("bin") - low) // per_bar).agg(pl.col("n").sum())
    known: dict[int, int] = dict(bars.iter_rows())
    return tuple(known.get(i, 0) for i in range(N_BARS))
