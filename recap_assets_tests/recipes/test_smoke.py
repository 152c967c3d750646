"""Every recipe runs: each at smoke size, from its pool to its report."""

from pathlib import Path

import pytest

from recap_assets.artefacts import CLAIMS, CURATED_MIXES
from recap_assets.graph.planner import plan
from recap_assets.specs.loading import load_experiment
from recap_assets.specs.recipe_book import Entry, recipes
from recap_assets_tests.tiny import Bench

pytestmark = pytest.mark.long(reason="each trains its models, and a CLIP on each mix")


@pytest.mark.parametrize("one", recipes(), ids=lambda one: one.path.stem)
def test_a_recipe_runs_from_its_pool_to_its_report(one: Entry, tmp_path: Path) -> None:
    experiment = load_experiment(one.path, ["size=smoke"])
    bench = Bench(tmp_path, experiment)
    bench.build()
    tables, recipe = bench.project.workspace.tables, one.recipe
    assert not plan(bench.graph, bench.memory).to_build
    claims = tables.read(CLAIMS).filter(of="recipe")
    assert claims["statement"].to_list() == [expected.statement for expected in recipe.expects]
    # One seed has no deviation, but every number that a verdict needs is there.
    assert (claims["figure"] != "").all(), claims.filter(figure="")["note"].to_list()
    pairs = tables.read(CURATED_MIXES)
    assert set(pairs["mix"]) == set(experiment.mixes)
    assert one.recipe.title in bench.project.workspace.report.read_text(encoding="utf-8")
