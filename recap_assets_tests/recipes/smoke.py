"""A recipe at smoke size, from its pool to its report, as the tests run each of them."""

import html
from pathlib import Path

from recap_assets.artefacts import CLAIMS, CURATED_MIXES
from recap_assets.graph.planner import plan
from recap_assets.specs.loading import load_experiment
from recap_assets.specs.recipe_book import Entry, recipes
from recap_assets_tests.tiny import Bench

REASON = "each trains its models, and a CLIP on each mix"
HALF = 28
"""Two workers share the recipes: a file each, up to this number and from it."""


def halves() -> tuple[list[Entry], list[Entry]]:
    """The recipes of each file."""
    first = [one for one in recipes() if int(one.number) < HALF]
    return first, [one for one in recipes() if one not in first]


def run_recipe(one: Entry, tmp_path: Path) -> None:
    """Build it, and see that every number that a verdict needs is there."""
    experiment = load_experiment(one.path, ["size=smoke"])
    bench = Bench(tmp_path, experiment)
    bench.build(draws=True)
    tables, recipe = bench.project.workspace.tables, one.recipe
    assert not plan(bench.graph, bench.memory).to_build
    claims = tables.read(CLAIMS).filter(of="recipe")
    assert claims["statement"].to_list() == [expected.statement for expected in recipe.expects]
    # One seed has no deviation, but every number that a verdict needs is there.
    assert (claims["figure"] != "").all(), claims.filter(figure="")["note"].to_list()
    pairs = tables.read(CURATED_MIXES)
    assert set(pairs["mix"]) == set(experiment.mixes)
    page = bench.project.workspace.report.read_text(encoding="utf-8")
    assert recipe.title in html.unescape(page)
