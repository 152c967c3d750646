"""What the result of each mix took to compute, by the ledger of costs."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.artefacts.training import TRAINED_CLIP
from recap_assets.assembly.graph import build_graph
from recap_assets.captions.charges import charges_of
from recap_assets.evaluation.averages import AVERAGE
from recap_assets.graph.project import Project
from recap_assets.lineage.costs import ledger
from recap_assets.look.gallery import Gallery
from recap_assets.plots.colours import kind_of
from recap_assets.plots.costs import COSTS, cost_chart
from recap_assets.plots.rendering import chart_svg

ON_GPU, COMPUTING = "hours on a GPU", "hours of computing"


@dataclass(frozen=True)
class Paid:
    """What results took.

    Attributes:
        mixes: COSTS, the least hours first.
        unit: What the hours are of.
        chart: Hours against the result.
    """

    mixes: pl.DataFrame
    unit: str
    chart: Markup


def paid(gallery: Gallery, board: pl.DataFrame) -> Paid | None:
    """What the average of each mix took; None where nothing is known.

    Args:
        gallery: The gallery.
        board: LEADERBOARD.
    """

    def found() -> Paid | None:
        mixes, unit = cost_of_results(gallery.project, board)
        if mixes.is_empty():
            return None
        svg = chart_svg(cost_chart(mixes, unit), "costs")
        return Paid(mixes, unit, Markup(svg))  # noqa: S704 - SVG made here, its text escaped

    return gallery.kept.of(LEADERBOARD, ("paid",), found)


def cost_of_results(project: Project, board: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """What everything took that a mix's trainings read, themselves included.

    What several mixes read counts for each of them, and what was reused counts as what it took when
    it was computed: the hours are what the result would take alone. Where a GPU was held they are
    those of GPUs.

    Returns:
        COSTS, the least hours first, and what the hours are of.
    """
    averages = board.filter(pl.col("task") == AVERAGE)
    took = _took(project)
    on_gpu = any(gpu for _, gpu in took.values())
    graph = build_graph(project)
    rows: list[dict[str, object]] = []
    for row in averages.iter_rows(named=True):
        key = TRAINED_CLIP.key(row["mix"])
        if key not in graph.nodes or key not in took:
            continue
        read = {key, *graph.ancestors([key])}
        seconds = sum(took[one][on_gpu] for one in read if one in took)
        kind = kind_of(row["raw_share"])
        rows.append(
            {"mix": row["mix"], "kind": kind, "hours": seconds / 3600, "average": row["mean"]}
        )
    found = pl.DataFrame(rows, schema={n: t for n, t in COSTS.items() if n != "is_best"})
    ranked = found.sort("hours", "average", "mix", descending=[False, True, False])
    before = pl.col("average").cum_max().shift(1)
    return ranked.with_columns(
        is_best=before.is_null() | (pl.col("average") > before)
    ), ON_GPU if on_gpu else COMPUTING


def _took(project: Project) -> Mapping[str, tuple[float, float]]:
    """Seconds of each asset, and those on a GPU, of its last computation of each partition."""
    rows = ledger(project.workspace.tables, charges_of(project))
    last = rows.sort("day", "event_id").group_by("asset", "partition").last()
    sums = last.group_by("asset").agg(
        seconds=(pl.col("seconds") + pl.col("seconds_reused")).sum(),
        gpu_seconds=(pl.col("gpu_seconds") + pl.col("gpu_seconds_reused")).sum(),
    )
    return {asset: (seconds, gpu) for asset, seconds, gpu in sums.iter_rows()}
