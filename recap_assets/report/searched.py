"""The searches of an experiment, as the report shows them."""

from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from recap_assets.artefacts import SEARCH_TRIALS
from recap_assets.graph.stage import Project
from recap_assets.plots.rendering import chart_svg
from recap_assets.plots.searches import HAND_MADE, rounds_chart, setting_chart
from recap_assets.search.shown import candidates, found_yaml, points, ranking, sentence
from recap_assets.specs.searches import Search


@dataclass(frozen=True)
class Searched:
    """One search.

    Attributes:
        name: Its name.
        sentence: The verdict.
        ranking: Of the last round: name, mean, deviation (None of one seed), pairs, settings.
        found: The best proposal as YAML; None where there is none.
        rounds: A chart of the rounds; None where nothing was trained.
        by_setting: A chart for each setting.
    """

    name: str
    sentence: str
    ranking: tuple[tuple[str, float, float | None, int, str], ...]
    found: str | None
    rounds: Markup | None
    by_setting: tuple[Markup, ...]


def searched(project: Project) -> tuple[Searched, ...]:
    """Every search of the experiment, from SEARCH_TRIALS."""
    seeds = project.experiment.training.seeds
    return tuple(
        _searched(project, number, name, search.with_defaults(seeds))
        for number, (name, search) in enumerate(project.experiment.searches.items())
    )


def _searched(project: Project, number: int, name: str, search: Search) -> Searched:
    rows = project.workspace.tables.read(SEARCH_TRIALS, search=name)
    drawn = candidates(rows)
    is_there = not drawn.is_empty()
    made = drawn.filter(pl.col("round") == 0, pl.col("kind") == HAND_MADE)
    by_setting = [
        setting_chart(points(rows, key), made, key, search.on, log=values.log)
        for key, values in search.over.items()
        if is_there
    ]
    return Searched(
        name,
        sentence(rows, search),
        tuple(ranking(rows).iter_rows()),
        found_yaml(project.experiment, search, rows),
        Markup(chart_svg(rounds_chart(drawn, search.on), f"search{number}"))  # noqa: S704 - SVG made here
        if is_there
        else None,
        tuple(
            Markup(chart_svg(chart, f"search{number}-{at}"))  # noqa: S704 - SVG made here
            for at, chart in enumerate(by_setting)
        ),
    )
