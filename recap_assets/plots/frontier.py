"""Diversity against fit of every mix."""

import polars as pl

from recap_assets.plots.libraries import alt
from recap_assets.plots.point_labels import Plane, padded, point_labels
from recap_assets.plots.style import (
    COUNT,
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


_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Of a legend in whole per cent."""


def frontier_chart(mixes: pl.DataFrame) -> "alt.LayerChart":
    """Diversity against fit of every mix; the larger the point, the better its average.

    Args:
        mixes: FRONTIER; rows with a null diversity or score are left out.
    """
    placed = mixes.drop_nulls(["unique_trigrams", "mean_score"])
    shown = placed.sort("average", "mix", descending=[True, False], nulls_last=True)
    x_range, y_range = padded(shown["unique_trigrams"]), padded(shown["mean_score"])
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
    step = _step(shown["average"])
    legend = alt.Legend(
        format=".0%",
        values=[round(step * i, 2) for i in (1, 2, 3, 4)],
        orient="right",
        offset=24,
        symbolFillColor="#8a9099",
        symbolStrokeWidth=0,
    )
    scale = alt.Scale(domain=[0, 5 * step], range=[20, 700])
    size = alt.Size("average:Q", title="average", scale=scale, legend=legend)
    dots = alt.Chart(inline_data(shown)).mark_point(filled=True, opacity=0.9)
    dots = dots.encode(x, y, by_kind(), kind_shape(), size)
    plane = Plane("unique_trigrams", "mean_score", x_range, y_range, 0.85 * WIDE, 300.0)
    labels = point_labels(shown, "mix", plane)
    return styled(sized(alt.layer(dots, *labels), WIDE, 400))


def _step(averages: pl.Series) -> float:
    """A fifth of the scale of sizes: the least that shows the highest average."""
    highest = averages.drop_nulls().max()
    top = float(highest) if isinstance(highest, float) else 1.0
    return next((step for step in _STEPS if 5 * step >= top), _STEPS[-1])
