"""The searches of an experiment, as the report shows them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from recap_assets.artefacts import SEARCH_TRIALS
from recap_assets.graph.stage import Project
from recap_assets.plots.libraries import alt
from recap_assets.plots.rendering import chart_svg
from recap_assets.plots.searches import HAND_MADE, rounds_chart, setting_chart
from recap_assets.report.findings import Claim, Verdict
from recap_assets.search.shown import candidates, found_yaml, points, ranking, sentence
from recap_assets.search.verdict import (
    BETTER,
    NO_BETTER,
    UNDECIDED,
    best_two,
    difference,
    verdict_of,
)
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
        by_setting: Each setting, as a word, with its chart.
    """

    name: str
    sentence: str
    ranking: tuple[tuple[str, float, float | None, int, str], ...]
    found: str | None
    rounds: Markup | None
    by_setting: tuple[tuple[str, Markup], ...]


_VERDICTS: Mapping[str, Verdict] = {
    BETTER: "reproduced",
    NO_BETTER: "not reproduced",
    UNDECIDED: "not measured",
}


def claims_of_searches(project: Project) -> Iterator[Claim]:
    """Of each search that its best proposal is above the best mix made by hand."""
    for name, search in project.experiment.searches.items():
        rows = project.workspace.tables.read(SEARCH_TRIALS, search=name)
        verdict = verdict_of(difference(rows, best_two(rows)))
        statement = f"The best proposal of the search {name} is above the best mix made by hand."
        figure = sentence(rows, search)
        yield Claim(f"search {name}", statement, _VERDICTS[verdict], figure, "")


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
    made = drawn.filter(pl.col("round") == 0, pl.col("kind") == HAND_MADE)
    if drawn.is_empty():
        rounds, by_setting = None, []
    else:
        rounds = _svg(rounds_chart(drawn, search.on), f"search{number}")
        by_setting = [
            (
                key.setting,
                _svg(
                    setting_chart(points(rows, written), made, written, search.on, log=values.log),
                    f"search{number}-{at}",
                ),
            )
            for at, (key, (written, values)) in enumerate(
                zip(search.keys, search.over.items(), strict=True)
            )
        ]
    return Searched(
        name,
        sentence(rows, search),
        tuple(ranking(rows).iter_rows()),
        found_yaml(project.experiment, search, rows),
        rounds,
        tuple(by_setting),
    )


def _svg(chart: "alt.TopLevelMixin", name: str) -> Markup:
    return Markup(chart_svg(chart, name))  # noqa: S704 - SVG made here, its text escaped
