"""Histograms of scores with the cut-offs."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from recap_assets.plots.libraries import alt
from recap_assets.plots.style import HALF, INK, WIDE, by_source, inline_data, sized, styled

AGAINST_RAW = pl.Schema({"source": pl.String, "raw": pl.Float64, "score": pl.Float64})
"""Of an image the score of its raw text, and the best score of a synthetic source's captions."""

_BINS_PER_UNIT = 10_000
_SHOWN_BINS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
_MOST_BINS = 70


def score_histograms(
    histograms: pl.DataFrame,
    thresholds: pl.DataFrame,
    sources: Sequence[str] = (),
    score_is: str = "score of image and caption",
) -> "alt.LayerChart":
    """How well the captions of each source fit, laid over each other, with the cut-offs.

    Args:
        histograms: SCORE_HISTOGRAMS; partitions and scorers are added up.
        thresholds: THRESHOLDS; each distinct value is drawn once, named after its sources. Those of
            other scorers are left out, since they are on other scales.
        sources: All sources of the experiment, so that each keeps its colour from chart to chart.
        score_is: What the scores are.
    """
    shown = _shown_histogram(histograms)
    x = alt.X(
        "score:Q",
        title=score_is,
        axis=alt.Axis(grid=False, tickCount=12),
        scale=alt.Scale(nice=False, zero=False),
    )
    y = alt.Y(
        "share:Q", title="share of captions", stack=None, axis=alt.Axis(format=".0%", tickCount=5)
    )
    base = alt.Chart(inline_data(shown)).encode(
        x, y, by_source(shown["source"], sources, columns=6)
    )
    areas = base.mark_area(opacity=0.2, interpolate="monotone", line={"strokeWidth": 2})
    cuts = _shown_cuts(_of_scorer(histograms, thresholds))
    rules = alt.Chart(inline_data(cuts)).mark_rule(strokeDash=[4, 3], strokeWidth=1.2, color=INK)
    layers = [areas, rules.encode(x="value:Q"), *_cut_labels(cuts)]
    return styled(sized(alt.layer(*layers), WIDE, 300))


def kept_shares(
    histograms: pl.DataFrame,
    thresholds: pl.DataFrame,
    sources: Sequence[str] = (),
    score_is: str = "score of image and caption",
) -> "alt.LayerChart":
    """What share of each source's captions any cut-off would keep, with those of the mixes.

    Args:
        histograms: As `score_histograms`.
        thresholds: As `score_histograms`.
        sources: As `score_histograms`.
        score_is: What the scores are.
    """
    shown = _shown_histogram(histograms).with_columns(
        kept=pl.col("share").cum_sum(reverse=True).over("source", order_by="score")
    )
    score = alt.Scale(nice=False, zero=False)
    axis = alt.Axis(grid=False, tickCount=6)
    x = alt.X("score:Q", title=f"cut-off, {score_is}", axis=axis, scale=score)
    shares = alt.Axis(format=".0%", tickCount=5)
    y = alt.Y("kept:Q", title="captions at or above", scale=alt.Scale(domain=[0, 1]), axis=shares)
    colour = by_source(shown["source"], sources)
    lines = alt.Chart(inline_data(shown)).mark_line(strokeWidth=2.2).encode(x, y, colour)
    cuts = _shown_cuts(_of_scorer(histograms, thresholds))
    rules = alt.Chart(inline_data(cuts)).mark_rule(strokeDash=[4, 3], strokeWidth=1.2, color=INK)
    return styled(sized(alt.layer(lines, rules.encode(x="value:Q")), HALF, 300))


def against_raw(
    points: pl.DataFrame,
    sources: Sequence[str] = (),
    score_is: str = "score of image and caption",
) -> "alt.LayerChart":
    """The score of each image's raw text against that of its synthetic captions.

    Args:
        points: AGAINST_RAW.
        sources: All sources of the experiment, for their colours.
        score_is: What the scores are.
    """
    ends = [f(points[column].to_list(), default=0.0) for f in (min, max) for column in _BOTH]
    scale = alt.Scale(domain=[min(ends), max(ends)], nice=True, zero=False)
    axis = alt.Axis(tickCount=6)
    x = alt.X("raw:Q", title=f"raw text, {score_is}", scale=scale, axis=axis)
    y = alt.Y("score:Q", title="synthetic caption", scale=scale, axis=axis)
    colour = by_source(points["source"], sources)
    dots = alt.Chart(inline_data(points)).mark_circle(size=16, opacity=0.5).encode(x, y, colour)
    equal = pl.DataFrame({name: [min(ends), max(ends)] for name in _BOTH})
    line = alt.Chart(inline_data(equal)).mark_line(strokeDash=[4, 3], strokeWidth=1.2, color=INK)
    return styled(sized(alt.layer(dots, line.encode(x="raw:Q", y="score:Q")), HALF, 300))


_BOTH = ("raw", "score")


def _of_scorer(histograms: pl.DataFrame, thresholds: pl.DataFrame) -> pl.DataFrame:
    return thresholds.join(histograms.select("scorer").unique(), on="scorer", how="semi")


def _shown_histogram(histograms: pl.DataFrame) -> pl.DataFrame:
    per_bin = _bins_shown_as_one(histograms)
    counted = (
        histograms.group_by("source", shown=pl.col("bin") // per_bin)
        .agg(pl.col("n").sum())
        .filter(pl.col("n") > 0)
    )
    if counted.is_empty():
        return pl.DataFrame(schema={"source": pl.String, "score": pl.Float64, "share": pl.Float64})
    # Empty bins are zeros, or the line would be drawn straight across them.
    shown = pl.col("shown")
    bins = counted.select(shown=pl.int_ranges(shown.min() - 1, shown.max() + 2)).explode("shown")
    every = counted.select("source").unique().join(bins, how="cross")
    return (
        every.join(counted.cast({"shown": pl.Int64}), on=["source", "shown"], how="left")
        .with_columns(pl.col("n").fill_null(0))
        .select(
            "source",
            score=(pl.col("shown") + 0.5) * per_bin / _BINS_PER_UNIT - 1,
            share=pl.col("n") / pl.col("n").sum().over("source"),
        )
        .sort("source", "score")
    )


def _bins_shown_as_one(histograms: pl.DataFrame) -> int:
    """How many of the table's bins one drawn bin holds: the finest that gives few enough."""
    bins: list[int] = histograms.filter(pl.col("n") > 0)["bin"].to_list()
    spread = (max(bins) - min(bins)) / _BINS_PER_UNIT if bins else 0.0
    fitting = [width for width in _SHOWN_BINS if spread <= width * _MOST_BINS]
    width = fitting[0] if fitting else 10.0 ** np.ceil(np.log10(spread / _MOST_BINS))
    return round(width * _BINS_PER_UNIT)


def _shown_cuts(thresholds: pl.DataFrame) -> pl.DataFrame:
    return (
        thresholds.drop_nulls("value")
        .group_by(pl.col("value").cast(pl.Float64).round(4))
        .agg(label=pl.col("source").unique().sort().str.join(", "))
        .with_columns(label=pl.format("{} ≥ {}", "label", pl.col("value").round(3)))
        .sort("value")
    )


def _cut_labels(cuts: pl.DataFrame) -> "list[alt.Chart]":
    # Neighbouring cut-offs stand close together: the lower half is named to the left of its line,
    # the upper half to the right, and on either side the names take turns on three lines.
    half = cuts.height // 2
    left = alt.MarkDef(type="text", align="right", dx=-5, baseline="top", fontSize=11.5)
    right = alt.MarkDef(type="text", align="left", dx=5, baseline="top", fontSize=11.5)
    labels: list[alt.Chart] = []
    for mark, side in ((left, cuts[:half]), (right, cuts[half:])):
        mark.color = INK
        for line in range(min(3, side.height)):
            marked = alt.Chart(inline_data(side.gather_every(3, line)), mark=mark)
            labels.append(marked.encode(x="value:Q", y=alt.value(15 * line), text="label:N"))
    return labels
