"""The charts of the report, as SVG."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from recap_assets.evaluation.captions.measured import CIDER
from recap_assets.plots.captioners import USEFULNESS, usefulness_chart
from recap_assets.plots.colours import kind_of
from recap_assets.plots.diversity import diversity_bars, rarefaction_curves
from recap_assets.plots.frontier import frontier_chart
from recap_assets.plots.libraries import alt
from recap_assets.plots.mixes import (
    gain_over_pool,
    leaderboard_chart,
    left_out_chart,
    source_shares,
    sweep_points,
)
from recap_assets.plots.rendering import chart_svg
from recap_assets.plots.scores import against_raw, kept_shares, score_histograms
from recap_assets.plots.style import HALF, NARROW, WIDE
from recap_assets.plots.sweeps import swept_chart
from recap_assets.plots.training import training_curves
from recap_assets.report.captioners import TRIGRAMS, measures_of
from recap_assets.report.contents import AVERAGE, ReportData, shown, whole_pool

MANY_MIXES = 16


@dataclass(frozen=True)
class Swept:
    """The curves of a swept setting on a task."""

    path: str
    task: str
    chart: Markup


def swept(data: ReportData, kinds: Mapping[str, str]) -> list[Swept]:
    """The swept settings, a chart a task.

    Args:
        data: What the report shows.
        kinds: `raw`, `synthetic` or `mixed` of each mix.
    """
    found = data.swept.partition_by("sweep", "task", maintain_order=True)
    drawn: list[Swept] = []
    for number, part in enumerate(found):
        path, task = part["sweep"].item(0), part["task"].item(0)
        svg = chart_svg(swept_chart(part, path, kinds), f"swept{number}")
        drawn.append(Swept(path, task, Markup(svg)))  # noqa: S704 - the renderer escapes text
    return drawn


def charts(data: ReportData, kinds: Mapping[str, str]) -> dict[str, Markup]:
    """Those charts for which there is something to draw, by name."""
    board = whole_pool(data.leaderboard)
    sweep = sweep_points(data.leaderboard, data.run.n_usable)
    frontier = frontier_of(data.mixes, data.leaderboard)
    scored = data.histograms.filter(pl.col("n") > 0)
    shares, curves = whole_pool(data.shares), whole_pool(data.curves)
    cuts = whole_pool(data.thresholds)
    width = WIDE if is_wide(data) else HALF
    left_out = data.left_out.filter(pl.col("task") == AVERAGE)
    drawn: dict[str, tuple[pl.DataFrame, alt.TopLevelMixin]] = {
        "leaderboard": (
            board.filter(pl.col("task") == AVERAGE),
            leaderboard_chart(board, runs=data.runs),
        ),
        "leaderboard_narrow": (
            board.filter(pl.col("task") == AVERAGE),
            leaderboard_chart(board, runs=data.runs, width=NARROW),
        ),
        "left_out": (left_out, left_out_chart(left_out, data.sources)),
        "sweep": (sweep, gain_over_pool(sweep, kinds)),
        "scores": (scored, score_histograms(scored, cuts, data.sources, data.score_is)),
        "kept": (scored, kept_shares(scored, cuts, data.sources, data.score_is)),
        "against_raw": (
            data.against_raw,
            against_raw(data.against_raw, data.sources, data.score_is),
        ),
        "diversity": (data.diversity, diversity_bars(data.diversity, data.sources)),
        "rarefaction": (
            data.diversity.filter(pl.col("rarefaction").list.len() > 0),
            rarefaction_curves(data.diversity, data.sources),
        ),
        "frontier": (frontier, frontier_chart(frontier)),
        "shares": (shares, source_shares(shares, shown(data), data.sources, width)),
        "curves": (curves, training_curves(curves, kinds, width)),
    }
    return {
        name: Markup(chart_svg(chart, name))  # noqa: S704 - SVG made here, its text escaped
        for name, (frame, chart) in drawn.items()
        if not frame.is_empty()
    }


def frontier_of(mixes: pl.DataFrame, board: pl.DataFrame) -> pl.DataFrame:
    """FRONTIER of the mixes that have an average, a mean score and a diversity.

    Args:
        mixes: MIX_SUMMARY.
        board: LEADERBOARD.
    """
    averages = whole_pool(board).filter(pl.col("task") == AVERAGE)
    return (
        mixes.join(averages, on="mix")
        .select(
            "mix",
            kind=pl.col("raw_share").map_elements(kind_of, return_dtype=pl.String),
            unique_trigrams=pl.col("unique_trigrams").cast(pl.Float64),
            mean_score="mean_score",
            average="mean",
        )
        .drop_nulls(["unique_trigrams", "mean_score"])
    )


def is_wide(data: ReportData) -> bool:
    """Whether charts with a row or a line a mix take the width of the page."""
    return len(shown(data)) > MANY_MIXES


@dataclass(frozen=True)
class Captioned:
    """The chart of a measure of captioners."""

    measure: str
    chart: Markup


def captioned(data: ReportData) -> list[Captioned]:
    """A measure each against the average of what is trained on a captioner's captions alone."""
    board = data.leaderboard.filter(pl.col("task") == AVERAGE)
    found = data.captioners.join(board, on="mix").select("measure", *USEFULNESS)
    drawn: list[Captioned] = []
    for number, measure in enumerate(_measures_drawn(found)):
        rows = found.filter(pl.col("measure") == measure)
        svg = chart_svg(usefulness_chart(rows, measure, data.sources), f"captioner{number}")
        drawn.append(Captioned(measure, Markup(svg)))  # noqa: S704 - the renderer escapes text
    return drawn


def _measures_drawn(found: pl.DataFrame) -> list[str]:
    """Two reference metrics, the fit and the diversity, where two captioners have them."""
    several = found.group_by("measure").len().filter(pl.col("len") > 1)["measure"].to_list()
    fit = [one for one in measures_of(found) if one.startswith("mean ")][:1]
    return [one for one in (CIDER, "CLIP-S", *fit, TRIGRAMS) if one in several]
