"""Loss over pairs seen."""

from collections.abc import Mapping

import polars as pl

from recap_assets.plots.libraries import alt
from recap_assets.plots.style import COUNT, HALF, by_mix, inline_data, sized, styled

_POINTS_OF_A_CURVE = 150


def training_curves(curves: pl.DataFrame, kinds: Mapping[str, str] | None = None) -> "alt.Chart":
    """Loss over pairs seen, the mean over seeds, a line a mix.

    Args:
        curves: TRAINING_CURVES; at most 150 points of each line are drawn.
        kinds: `raw`, `synthetic` or `mixed` of each mix, for its colour; others are `mixed`.
    """
    shown = (
        curves.group_by("mix", "samples_seen")
        .agg(pl.col("loss").mean())
        .sort("mix", "samples_seen")
        .filter(
            pl.int_range(pl.len()).over("mix") % (pl.len().over("mix") // _POINTS_OF_A_CURVE + 1)
            == 0
        )
    )
    chart = alt.Chart(inline_data(shown)).mark_line(strokeWidth=1.8)
    chart = chart.encode(
        alt.X(
            "samples_seen:Q",
            title="pairs seen",
            axis=alt.Axis(labelExpr=COUNT, grid=False, tickCount=6),
        ),
        alt.Y("loss:Q", title="contrastive loss", scale=alt.Scale(zero=False)),
        *by_mix(shown["mix"], kinds or {}),
    )
    return styled(sized(chart, HALF, 330))
