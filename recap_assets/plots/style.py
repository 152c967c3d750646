"""What all charts share: sizes, type, and how sources, kinds and mixes are encoded."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from recap_assets.plots.colours import KIND_COLOURS, mix_colours, palette
from recap_assets.plots.libraries import alt

WIDE = 1090
NARROW = 310
HALF = 512
"""Widths of a chart in pixels: as wide as the page, or two side by side."""

COUNT = "datum.value >= 1e6 ? format(datum.value / 1e6, ',~r') + ' M' : format(datum.value, ',')"
"""The label of an axis that counts: millions from a million on."""

_FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
INK = "#4a4f57"
_GRID = "#e4e4e0"


def inline_data(frame: pl.DataFrame) -> "alt.Data":
    """The rows as a part of the chart: of a frame, Altair refuses more than 5,000.

    In a tuple, since a list is copied, row by row, with each property that a chart is given.
    """
    return alt.Data(values=tuple(frame.to_dicts()))


def by_source(
    shown: pl.Series, sources: Sequence[str], *, legend: bool = True, columns: int = 3
) -> "alt.Color":
    """The colour of a field `source`, the same whichever of `sources` are shown."""
    present = set(shown)
    colours = palette([*sources, *sorted(present)])
    colours = {source: colour for source, colour in colours.items() if source in present}
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    shown_in = alt.Legend(title=None, columns=columns, columnPadding=36) if legend else None
    return alt.Color("source:N", scale=scale, legend=shown_in)


def by_mix(shown: pl.Series, kinds: Mapping[str, str]) -> "tuple[alt.Color, alt.StrokeDash]":
    """Colour and dashes of a field `mix`: a shade of its kind's, dashed where shades recur."""
    names: list[str] = shown.unique().sort().to_list()
    colours = mix_colours({mix: kinds.get(mix, "mixed") for mix in names})
    dashes = [([1, 0], [5, 3], [2, 2])[i // 7 % 3] for i in range(len(names))]
    legend = alt.Legend(orient="bottom", columns=3, title=None, labelLimit=140, symbolType="stroke")
    scale = alt.Scale(domain=names, range=list(colours.values()))
    return (
        alt.Color("mix:N", scale=scale, legend=legend),
        alt.StrokeDash("mix:N", scale=alt.Scale(domain=names, range=dashes), legend=legend),
    )


def sized(chart: Any, width: int, height: int) -> Any:  # noqa: ANN401 - as styled
    """Axes, legend and all in this many pixels, so that type is of one size in every chart."""
    fit = alt.AutoSizeParams(type="fit", contains="padding")
    return chart.properties(width=width, height=height, autosize=fit)


def by_kind() -> "alt.Color":
    """The colour of a field `kind`: raw, synthetic or mixed."""
    scale = alt.Scale(domain=list(KIND_COLOURS), range=list(KIND_COLOURS.values()))
    return alt.Color("kind:N", scale=scale, title=None)


def kind_shape() -> "alt.Shape":
    """The shape of a field `kind`, for those who do not distinguish the colours."""
    scale = alt.Scale(domain=list(KIND_COLOURS), range=["square", "circle", "diamond"])
    return alt.Shape("kind:N", scale=scale, title=None)


def styled(chart: Any) -> Any:  # noqa: ANN401 - Altair's chart classes share no configurable type
    """The chart in the type and the lines that all charts have."""
    return chart.configure(
        background="transparent",
        font=_FONT,
        padding=4,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelColor=INK,
            titleColor=INK,
            labelFontSize=11.5,
            titleFontSize=11.5,
            titleFontWeight="normal",
            titlePadding=10,
            gridColor=_GRID,
            domain=False,
            ticks=False,
            labelPadding=6,
            labelLimit=240,
        ),
        legend=alt.LegendConfig(
            orient="top",
            labelColor=INK,
            titleColor=INK,
            labelFontSize=12,
            titleFontSize=11.5,
            titleFontWeight="normal",
            labelLimit=240,
            symbolStrokeWidth=2,
            symbolOpacity=1,
        ),
        title=alt.TitleConfig(color=INK, fontSize=12, fontWeight="normal", offset=8),
    )
