"""Loss over pairs seen."""

from collections.abc import Mapping, Sequence

import polars as pl

from recap_assets.plots.libraries import alt
from recap_assets.plots.style import COUNT, HALF, by_kind, by_mix, inline_data, sized, styled

_POINTS_OF_A_CURVE = 150
MOST_NAMED = 21
"""Lines with colours and dashes of their own: seven shades at most, three sorts of dashes."""


def training_curves(
    curves: pl.DataFrame, kinds: Mapping[str, str] | None = None, width: int = HALF
) -> "alt.Chart":
    """Loss over pairs seen, the mean over seeds, a line a mix.

    Args:
        curves: TRAINING_CURVES; at most 150 points of each line are drawn.
        kinds: `raw`, `synthetic` or `mixed` of each mix, for its colour; others are `mixed`.
        width: In pixels.
    """
    shown = (
        curves.group_by("mix", "samples_seen")
        .agg(pl.col("loss").mean())
        .with_columns(kind=pl.col("mix").replace_strict(dict(kinds or {}), default="mixed"))
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
        *_lines(shown["mix"], kinds or {}),
    )
    return styled(sized(chart, width, 330))


def _lines(
    mixes: pl.Series, kinds: Mapping[str, str]
) -> "Sequence[alt.Color | alt.StrokeDash | alt.Detail]":
    """A colour and dashes for each mix; where those would not be told apart, one for each kind."""
    if mixes.n_unique() <= MOST_NAMED:
        return by_mix(mixes, kinds)
    return by_kind(), alt.Detail("mix:N")
