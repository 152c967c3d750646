"""Results: every mix with a dot for each seed, diversity against fit, and cost against result."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.evaluation.averages import AVERAGE, averaged_tasks
from recap_assets.look import asking
from recap_assets.look.gallery import Gallery, gallery_of
from recap_assets.look.page import rendered
from recap_assets.look.paid import paid
from recap_assets.plots.colours import KIND_COLOURS, kind_of
from recap_assets.plots.frontier import frontier_chart
from recap_assets.plots.rendering import chart_svg
from recap_assets.report.assets import mix_summary
from recap_assets.report.chance import average_chance, chances
from recap_assets.report.charts import frontier_of
from recap_assets.report.results import current_results
from recap_assets.report.standing import Ranking, ranking, runs_of

MARGIN = 0.06
"""Of the range of values, left free on either side of the dots."""


@dataclass(frozen=True)
class Row:
    """A mix on one task.

    Attributes:
        mix: Its name.
        kind: raw, synthetic or mixed.
        mean: Over the seeds.
        deviation: Standard deviation over seeds; None for one.
        n_pairs: Pairs of the mix.
        raw_share: Share of them with raw text.
        dots: Where the value of each seed is, from 0 to 1, and the value.
        place: Where the mean is.
    """

    mix: str
    kind: str
    mean: float
    deviation: float | None
    n_pairs: int
    raw_share: float
    dots: tuple[tuple[int, float, float], ...]
    place: float


def results(request: Request) -> Response:
    """The page."""
    gallery = gallery_of(request)
    board = gallery.project.workspace.tables.read(LEADERBOARD)
    board = board.filter(pl.col("mix").is_in(list(gallery.project.experiment.mixes)))
    tasks = _tasks(board)
    task = asking.chosen(request, "task", tasks, tasks[0]) if tasks else ""
    found = current_results(gallery.project)
    runs = runs_of(found, _averaged(gallery)).filter(task=task)
    chance = _chance(gallery, found, task)
    rows, ends = _rows(board.filter(task=task), runs, chance)
    return rendered(
        request,
        "results.html.jinja",
        title="Results",
        tasks=tasks,
        task=task,
        rows=rows,
        ends=ends,
        chance=chance,
        chance_at=None if chance is None else _place(chance, *ends),
        standing=_standing(runs, rows),
        kind_colours=KIND_COLOURS,
        frontier=_frontier(gallery, board),
        paid=paid(gallery, board),
    )


def _tasks(board: pl.DataFrame) -> list[str]:
    """The average first."""
    names = sorted(set(board["task"]))
    return [*(one for one in names if one == AVERAGE), *(one for one in names if one != AVERAGE)]


def _averaged(gallery: Gallery) -> tuple[str, ...]:
    experiment = gallery.project.experiment
    return tuple(experiment.evaluation.averaged) if experiment.trains else ()


def _chance(gallery: Gallery, found: pl.DataFrame, task: str) -> float | None:
    """What guessing gives on the task; None where it is not known."""
    if found.is_empty():
        return None
    known = gallery.kept.of(LEADERBOARD, ("chances",), lambda: chances(gallery.project, found))
    if task == AVERAGE:
        return average_chance(known, averaged_tasks(found, _averaged(gallery)))
    return known.get(task)


def _rows(
    board: pl.DataFrame, runs: pl.DataFrame, chance: float | None
) -> tuple[list[Row], tuple[float, float]]:
    """The mixes, the best first, and the ends of the scale of the dots."""
    values = [*runs["value"], *([] if chance is None else [chance])]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = MARGIN * (high - low) or 0.01
    ends = low - margin, high + margin
    seeds = runs.sort("seed").partition_by("mix", as_dict=True)
    rows = [
        _row(row, seeds.get((row["mix"],)), ends)
        for row in board.sort("mean", "mix", descending=[True, False]).iter_rows(named=True)
    ]
    return rows, ends


def _row(row: Mapping[str, object], seeds: pl.DataFrame | None, ends: tuple[float, float]) -> Row:
    values = () if seeds is None else seeds.select("seed", "value").iter_rows()
    dots = tuple((seed, _place(value, *ends), value) for seed, value in values)
    kept = {name: row[name] for name in ("mix", "mean", "deviation", "n_pairs", "raw_share")}
    mean, share = float(str(row["mean"])), float(str(row["raw_share"]))
    return Row(**kept, kind=kind_of(share), dots=dots, place=_place(mean, *ends))  # type: ignore[arg-type]


def _place(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)


def _standing(runs: pl.DataFrame, rows: list[Row]) -> Ranking | None:
    """What may be said of the best, by the rule of the report."""
    ranked = [row.mix for row in rows if row.dots]
    return ranking(runs, ranked) if ranked else None


def _frontier(gallery: Gallery, board: pl.DataFrame) -> Markup | None:
    def drawn() -> Markup | None:
        points = frontier_of(mix_summary(gallery.project), board)
        if points.is_empty():
            return None
        return Markup(chart_svg(frontier_chart(points), "frontier"))  # noqa: S704 - SVG made here

    return gallery.kept.of(LEADERBOARD, ("frontier",), drawn)


ROUTES = (Route("/results", results),)
