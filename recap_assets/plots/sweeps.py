"""Curves of a swept setting."""

from collections.abc import Mapping

import polars as pl

from recap_assets.plots.libraries import alt
from recap_assets.plots.style import WIDE, by_mix, inline_data, sized, styled

SWEPT = pl.Schema(
    {
        "sweep": pl.String,
        "mix": pl.String,
        "value": pl.String,
        "task": pl.String,
        "mean": pl.Float64,
        "deviation": pl.Float64,
    }
)
"""The result of a mix on a task, or on average, at one value of a swept setting."""


def swept_chart(
    rows: pl.DataFrame, setting: str, kinds: Mapping[str, str] | None = None
) -> "alt.LayerChart":
    """The results of each mix over the values of a setting, with the deviation over seeds.

    Args:
        rows: SWEPT, of one sweep and one task, in the order of the values.
        setting: What was varied.
        kinds: `raw`, `synthetic` or `mixed` of each mix, for its colour; others are `mixed`.
    """
    numbers = rows["value"].cast(pl.Float64, strict=False)
    is_number = not numbers.has_nulls()
    deviation = pl.col("deviation").fill_null(0)
    shown = rows.with_columns(
        value=numbers if is_number else pl.col("value"),
        low=pl.col("mean") - deviation,
        high=pl.col("mean") + deviation,
    )
    axis = alt.Axis(grid=False)
    if is_number:
        scale = alt.Scale(zero=False, nice=False, padding=16)
        # Vega rounds labels by the distance of ticks that it would choose itself.
        values = numbers.unique().sort().to_list()
        axis = alt.Axis(values=values, labelExpr="'' + datum.value", grid=False)
        x = alt.X("value:Q", title=setting, scale=scale, axis=axis)
    else:
        x = alt.X("value:O", title=setting, sort=rows["value"].to_list(), axis=axis)
    task = rows["task"].item(0) if rows.height else ""
    colour, dash = by_mix(rows["mix"], kinds or {})
    base = alt.Chart(inline_data(shown)).encode(x, colour)
    percent = alt.Axis(format=".1%")
    y = alt.Y("mean:Q", title=task, axis=percent, scale=alt.Scale(zero=False))
    bars = base.mark_rule(strokeWidth=1.6, opacity=0.6).encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    lines = base.mark_line(strokeWidth=2.2).encode(y, dash)
    points = base.mark_point(filled=True, size=60, opacity=1).encode(y)
    return styled(sized(alt.layer(bars, lines, points), WIDE, 320))
