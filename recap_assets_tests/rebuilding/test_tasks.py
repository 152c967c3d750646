"""Evaluation task by task: what was measured of a model on a set is not measured again."""

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.evaluation import EVALUATION_RESULTS
from recap_assets.artefacts.table import HASH
from recap_assets.evaluation import assets
from recap_assets.evaluation.zero_shot import measured
from recap_assets.graph.building import build_partition
from recap_assets.graph.reuse import COMPUTED, REUSED
from recap_assets_tests.rebuilding.edited import Edited

pytestmark = pytest.mark.long(reason="an experiment with trainings, and edits of its evaluation")

RESULTS = "evaluation_results/raw"
PARTLY = "partly"
"""A set of which some samples are set aside."""


@pytest.fixture
def world(built: Edited, tmp_path: Path) -> Edited:
    found = built.copied(tmp_path / "world")
    shutil.copytree(found.folder / "set", found.folder / "more")
    (found.folder / "more" / "classnames.txt").write_text("u\nv\n")
    return found


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each set was measured, by the name of its folder."""
    counts: Counter[str] = Counter()

    def counting(embedder: Any, opened: Any, batch_size: int) -> Any:
        name = Path(opened.path).name
        counts[name] += 1
        found = measured(embedder, opened, batch_size)
        return replace(found, aside={"too_small": 2}) if name == PARTLY else found

    monkeypatch.setattr(assets, "measured", counting)
    return counts


def task(world: Edited, name: str) -> Mapping[str, Any]:
    return {"kind": "webdataset", "path": str(world.folder / name)}


def tasks(world: Edited, **names: str) -> dict[str, Any]:
    return {"evaluation": {"tasks": {name: task(world, at) for name, at in names.items()}}}


def n_models(world: Edited) -> int:
    """Of results that are not those of another mix: `raw` and `in_set` hold equal pairs."""
    return len(world.settings["mixes"]) - 1


def stored(world: Edited) -> pl.DataFrame:
    rows = world.project.workspace.tables.read(EVALUATION_RESULTS)
    return rows.drop(HASH).sort("mix", "seed", "task", "metric")


def test_one_task_more_is_measured_alone(world: Edited, seen: Counter[str]) -> None:
    both = tasks(world, own="set", more="more")
    world.after(**both)
    assert seen == {"more": n_models(world)}
    facts = world.facts(RESULTS)
    assert (facts[COMPUTED], facts[REUSED]) == (1, 1)
    assert facts["own"] >= 0
    taken = stored(world)
    assert set(taken["task"]) == {"own", "more"}
    seen.clear()
    anew = Edited(world.folder, world.folder / "anew", world.settings)
    anew.build(**both)
    assert seen["set"] == seen["more"] > 0
    assert stored(anew).equals(taken)


def test_a_task_less_and_back_again(world: Edited, seen: Counter[str]) -> None:
    both = tasks(world, own="set", more="more")
    world.after(**both)
    seen.clear()
    world.after()
    assert set(stored(world)["task"]) == {"own"}
    world.after(**both)
    assert not seen


def test_a_set_that_changed_is_measured_alone(world: Edited, seen: Counter[str]) -> None:
    both = tasks(world, own="set", more="more")
    world.after(**both)
    seen.clear()
    (world.folder / "more" / "classnames.txt").write_text("x\ny\n")
    world.after(**both)
    assert seen == {"more": n_models(world)}


def test_a_task_on_the_set_of_another(world: Edited, seen: Counter[str]) -> None:
    own = {"own": task(world, "set")}
    alike = {"kind": "neighbours", "of": "own", "k": [1]}
    world.after(evaluation={"tasks": {**own, "alike": alike}})
    assert seen == {"set": n_models(world)}
    seen.clear()
    world.after(evaluation={"tasks": {**own, "alike": {**alike, "k": [1, 2]}}})
    assert seen == {"set": n_models(world)}
    assert world.facts(RESULTS)[REUSED] == 1


def test_another_model_is_measured_on_all(world: Edited, seen: Counter[str]) -> None:
    longer = {**world.settings["training"], "samples_seen": 24}
    world.after(training=longer, **tasks(world, own="set", more="more"))
    assert seen["set"] == seen["more"] == n_models(world)


def test_nothing_is_taken_over_where_nobody_wants_it(world: Edited, seen: Counter[str]) -> None:
    world.open(**tasks(world, own="set", more="more"))
    node = world.graph.nodes[RESULTS]
    while node.key not in {one.asset for one in world.ready()}:
        one = world.ready(("evaluation",))[0]
        done = build_partition(world.graph, world.memory, world.graph.nodes[one.asset], "")
        world.memory.keep(world.graph.nodes[one.asset], "", done)
    build_partition(world.graph, world.memory, node, "0", reuses=False)
    assert seen == {"set": 1, "more": 1}


def test_what_was_set_aside_of_a_set_is_said_again(world: Edited, seen: Counter[str]) -> None:
    shutil.copytree(world.folder / "set", world.folder / PARTLY)
    world.after(**tasks(world, own="set", partly=PARTLY))
    seen.clear()
    world.after(**tasks(world, own="set", partly=PARTLY, more="more"))
    assert seen == {PARTLY: n_models(world), "more": n_models(world)}
    rejected = world.accounts[world.data, "tiny", RESULTS, "0"].rejected
    assert rejected == {"partly/too_small": 2}
