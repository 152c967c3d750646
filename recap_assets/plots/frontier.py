"""Diversity against fit of every mix."""

from collections.abc import Sequence

import polars as pl

from recap_assets.plots.libraries import alt
from recap_assets.plots.style import (
    COUNT,
    INK,
    WIDE,
    by_kind,
    inline_data,
    kind_shape,
    sized,
    styled,
)

FRONTIER = pl.Schema(
    {
        "mix": pl.String,
        "kind": pl.String,
        "unique_trigrams": pl.Float64,
        "mean_score": pl.Float64,
        "average": pl.Float64,
    }
)
"""A mix's diversity (equal-sized sample), mean score and mean result in [0, 1]."""


def frontier_chart(mixes: pl.DataFrame) -> "alt.LayerChart":
    """Diversity against fit of every mix; the larger the point, the better its average.

    Args:
        mixes: FRONTIER; rows with a null diversity or score are left out.
    """
    shown = mixes.drop_nulls(["unique_trigrams", "mean_score"])
    x_range, y_range = _padded(shown["unique_trigrams"]), _padded(shown["mean_score"])
    x = alt.X(
        "unique_trigrams:Q",
        title="unique trigrams, in equal-sized samples \u2192",
        scale=alt.Scale(domain=x_range, nice=False),
        axis=alt.Axis(labelExpr=COUNT, tickCount=8),
    )
    y = alt.Y(
        "mean_score:Q",
        title="mean score \u2192",
        scale=alt.Scale(domain=y_range, nice=False),
        axis=alt.Axis(tickCount=6),
    )
    legend = alt.Legend(
        format=".0%",
        values=[0.2, 0.4, 0.6, 0.8],
        orient="right",
        offset=24,
        symbolFillColor="#8a9099",
        symbolStrokeWidth=0,
    )
    scale = alt.Scale(domain=[0, 1], range=[20, 700])
    size = alt.Size("average:Q", title="average", scale=scale, legend=legend)
    dots = alt.Chart(inline_data(shown)).mark_point(filled=True, opacity=0.9)
    dots = dots.encode(x, y, by_kind(), kind_shape(), size)
    labels = _point_labels(shown, x_range, y_range)
    return styled(sized(alt.layer(dots, *labels), WIDE, 400))


def _padded(values: pl.Series) -> list[float]:
    """The range of the values with a tenth on either side, for points with labels."""
    numbers: list[float] = values.to_list() or [0.0, 1.0]
    low, high = min(numbers), max(numbers)
    margin = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
    return [low - margin, high + margin]


def _point_labels(
    points: pl.DataFrame, x_range: Sequence[float], y_range: Sequence[float]
) -> "list[alt.Chart]":
    """The mixes' names beside their points, each on the first side where nothing is."""
    width, height = 0.85 * WIDE, 300.0  # of the plot inside its axes and legend, roughly
    xs = [(v - x_range[0]) / (x_range[1] - x_range[0]) * width for v in points["unique_trigrams"]]
    ys = [(y_range[1] - v) / (y_range[1] - y_range[0]) * height for v in points["mean_score"]]
    taken: list[Sequence[float]] = [
        (x - 12, y - 12, x + 12, y + 12) for x, y in zip(xs, ys, strict=True)
    ]
    sides: list[str] = []
    for x, y, mix in zip(xs, ys, points["mix"], strict=True):
        boxes = _label_boxes(x, y, 6.4 * len(mix))
        free = [side for side, box in boxes.items() if not any(_overlap(box, t) for t in taken)]
        sides.append((free or ["above"])[0])
        taken.append(boxes[sides[-1]])
    placed = points.with_columns(side=pl.Series(sides, dtype=pl.String))
    return [
        alt.Chart(inline_data(placed.filter(pl.col("side") == side)))
        .mark_text(align=align, dx=dx, dy=dy, fontSize=11.5, color=INK)  # type: ignore[arg-type]
        .encode(x="unique_trigrams:Q", y="mean_score:Q", text="mix:N")
        for side, (align, dx, dy) in _SIDES.items()
        if side in sides
    ]


_SIDES = {
    "right": ("left", 16, 0),
    "above": ("center", 0, -20),
    "left": ("right", -16, 0),
    "below": ("center", 0, 20),
}


def _label_boxes(x: float, y: float, length: float) -> dict[str, tuple[float, ...]]:
    return {
        "right": (x + 14, y - 7, x + 16 + length, y + 7),
        "above": (x - length / 2, y - 27, x + length / 2, y - 13),
        "left": (x - 16 - length, y - 7, x - 14, y + 7),
        "below": (x - length / 2, y + 13, x + length / 2, y + 27),
    }


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
