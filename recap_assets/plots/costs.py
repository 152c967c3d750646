"""What the result of every mix took to compute, against the result."""

import polars as pl

from recap_assets.plots.libraries import alt
from recap_assets.plots.point_labels import Plane, padded, point_labels
from recap_assets.plots.style import WIDE, by_kind, inline_data, kind_shape, sized, styled

COSTS = pl.Schema(
    {
        "mix": pl.String,
        "kind": pl.String,
        "hours": pl.Float64,
        "average": pl.Float64,
        "is_best": pl.Boolean,
    }
)
"""A mix's hours, its mean result in [0, 1], and whether no cheaper mix is as good."""


def cost_chart(mixes: pl.DataFrame, unit: str) -> "alt.LayerChart":
    """Hours against the result; a line joins the mixes that no cheaper one equals.

    Args:
        mixes: COSTS.
        unit: What the hours are of, for the axis: `hours of computing`.
    """
    x_range, y_range = padded(mixes["hours"]), padded(mixes["average"])
    x = alt.X(
        "hours:Q",
        title=f"{unit} \N{RIGHTWARDS ARROW}",
        scale=alt.Scale(domain=x_range, nice=False),
        axis=alt.Axis(tickCount=8),
    )
    y = alt.Y(
        "average:Q",
        title="average \N{RIGHTWARDS ARROW}",
        scale=alt.Scale(domain=y_range, nice=False),
        axis=alt.Axis(format=".1%", tickCount=6),
    )
    best = alt.Chart(inline_data(mixes.filter("is_best").sort("hours")))
    line = best.mark_line(
        interpolate="step-after", color="#8a9099", strokeDash=[4, 4], strokeWidth=1.4
    )
    dots = alt.Chart(inline_data(mixes)).mark_point(filled=True, opacity=0.9, size=120)
    plane = Plane("hours", "average", x_range, y_range, 0.85 * WIDE, 260.0)
    labels = point_labels(mixes, "mix", plane)
    layers = alt.layer(line.encode(x, y), dots.encode(x, y, by_kind(), kind_shape()), *labels)
    return styled(sized(layers, WIDE, 340))
