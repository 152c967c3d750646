"""Diversity of the caption sources side by side."""

from collections.abc import Sequence

import polars as pl

from recap_assets.plots.libraries import alt
from recap_assets.plots.style import COUNT, HALF, INK, by_source, inline_data, sized, styled


def diversity_bars(summary: pl.DataFrame, sources: Sequence[str] = ()) -> "alt.VConcatChart":
    """Unique trigrams, nouns and words of each source on equal-sized samples.

    Args:
        summary: DIVERSITY_SUMMARY.
        sources: All sources of the experiment, for their colours.
    """
    order = summary.sort("unique_trigrams", descending=True)["source"].to_list()
    panels = [
        _bars(summary, column, alt.Title(title, anchor="start"), order, sources)
        for column, title in {
            "unique_trigrams": "unique trigrams",
            "unique_nouns": "unique nouns",
            "unique_words": "unique words",
        }.items()
    ]
    return styled(alt.vconcat(*panels, spacing=14))


def rarefaction_curves(summary: pl.DataFrame, sources: Sequence[str] = ()) -> "alt.LayerChart":
    """Expected distinct trigrams in samples of n captions, a curve a source.

    Args:
        summary: DIVERSITY_SUMMARY.
        sources: All sources of the experiment, for their colours.
    """
    curves = (
        summary.select("source", "rarefaction")
        .explode("rarefaction", empty_as_null=False, keep_nulls=False)
        .unnest("rarefaction")
    )
    encoded = alt.Chart(inline_data(curves)).encode(
        alt.X("n:Q", title="captions", axis=alt.Axis(grid=False, labelExpr=COUNT, tickCount=5)),
        alt.Y("unique_trigrams:Q", title="distinct trigrams", axis=alt.Axis(labelExpr=COUNT)),
        by_source(summary["source"], sources),
    )
    lines = encoded.mark_line(strokeWidth=2.2)
    points = encoded.mark_point(filled=True, size=28, opacity=1)
    return styled(sized(alt.layer(lines, points), HALF, 300))


def _bars(
    summary: pl.DataFrame,
    column: str,
    title: "alt.Title",
    order: Sequence[str],
    sources: Sequence[str],
) -> "alt.LayerChart":
    shown = summary.select(
        "source",
        n=column,
        label=pl.col(column).map_elements("{:,}".format, return_dtype=pl.String),
    )
    y = alt.Y("source:N", sort=list(order), title=None)
    base = alt.Chart(inline_data(shown)).encode(y)
    x = alt.X("n:Q", title=None, axis=None)
    colour = by_source(shown["source"], sources, legend=False)
    bars = base.mark_bar(height={"band": 0.66}).encode(x, colour)
    labels = base.mark_text(align="left", dx=5, fontSize=11, color=INK).encode(x, text="label:N")
    panel = alt.LayerChart(layer=[bars, labels])
    panel.width, panel.height, panel.title = 380, max(40, 22 * len(order)), title
    return panel
