"""Captioners: a measure of their captions against what is trained on these."""

from collections.abc import Sequence

import polars as pl

from recap_assets.plots.libraries import alt
from recap_assets.plots.point_labels import Plane, padded, point_labels
from recap_assets.plots.style import COUNT, HALF, by_source, inline_data, sized, styled

USEFULNESS = pl.Schema(
    {"source": pl.String, "value": pl.Float64, "mean": pl.Float64, "deviation": pl.Float64}
)
"""A measure of a source's captions, and the average of the mix trained on these alone."""


def usefulness_chart(
    rows: pl.DataFrame, measure: str, sources: Sequence[str] = ()
) -> "alt.LayerChart":
    """A point a source, with the deviation over seeds.

    Args:
        rows: USEFULNESS.
        measure: What is measured.
        sources: All sources of the experiment, for their colours.
    """
    deviation = pl.col("deviation").fill_null(0)
    shown = rows.sort("mean", "source", descending=[True, False]).with_columns(
        low=pl.col("mean") - deviation, high=pl.col("mean") + deviation
    )
    x_range, y_range = padded(shown["value"]), padded(pl.concat([shown["low"], shown["high"]]))
    x = alt.X(
        "value:Q",
        title=f"{measure} \u2192",
        scale=alt.Scale(domain=x_range, nice=False),
        axis=alt.Axis(grid=False, labelExpr=COUNT, tickCount=4),
    )
    scale = alt.Scale(domain=y_range, nice=False, zero=False)
    axis = alt.Axis(format=".0%", tickCount=6)
    y = alt.Y("mean:Q", title="average \u2192", scale=scale, axis=axis)
    low = alt.Y("low:Q", scale=scale)
    colour = by_source(shown["source"], sources, legend=False)
    base = alt.Chart(inline_data(shown)).encode(x, colour)
    bars = base.mark_rule(strokeWidth=2, opacity=0.55).encode(low, alt.Y2("high:Q"))
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(y)
    plane = Plane("value", "mean", x_range, y_range, 0.87 * HALF, 240.0)
    labels = point_labels(shown, "source", plane)
    return styled(sized(alt.layer(bars, dots, *labels), HALF, 300))
