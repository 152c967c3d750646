"""An experiment within another Dagster project: its assets beside those of the project."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from recap_assets.defs.assets import POOL_PARTITIONS, asset_key
from recap_assets.defs.component import EXPERIMENT_FILE, STARTING_FILE
from recap_assets.specs.loading import load_experiment
from recap_assets_tests.tiny import EXPERIMENT

COMPONENT = "recap_assets.RecapExperiment"
PYPROJECT = """
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "{name}"
"""
OWN = """
import dagster as dg

@dg.asset(deps=[dg.AssetKey(["curated_mixes", "raw"])])
def shipped_to_training() -> None:
    "What the team makes of a mix."

@dg.definitions
def own() -> dg.Definitions:
    return dg.Definitions(assets=[shipped_to_training], executor=dg.multiprocess_executor)
"""

Loaded = Callable[[dict[str, Any]], dg.Definitions]


@pytest.fixture
def loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Loaded:
    """Loads a project with an asset of its own and a component that has the given attributes."""
    name = f"teams_data_{abs(hash(request.node.name))}"
    defs = tmp_path / name / "defs"
    (defs / "images").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.format(name=name))
    for folder in (tmp_path / name, defs):
        (folder / "__init__.py").touch()
    (defs / "own.py").write_text(OWN)
    (defs / "images" / EXPERIMENT_FILE).write_text(yaml.safe_dump(dict(EXPERIMENT)))
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(attributes: dict[str, Any]) -> dg.Definitions:
        written = {"type": COMPONENT, "attributes": attributes}
        (defs / "images" / "defs.yaml").write_text(yaml.safe_dump(written))
        return dg.load_from_defs_folder(path_within_project=defs)

    return load


@pytest.mark.parametrize(
    "attributes", [{"experiment": EXPERIMENT_FILE}, {"experiment": dict(EXPERIMENT)}]
)
def test_its_assets_are_beside_those_of_the_project(
    loaded: Loaded, attributes: dict[str, Any]
) -> None:
    definitions = loaded(attributes)
    graph = definitions.resolve_asset_graph()
    assert (
        asset_key("curated_mixes/raw") in graph.get(dg.AssetKey("shipped_to_training")).parent_keys
    )
    assert asset_key("report") in graph.get_all_asset_keys()
    # The project's executor is in charge: two would be refused.
    assert definitions.executor is dg.multiprocess_executor
    sensors = {s.name: s.default_status for s in definitions.get_repository_def().sensor_defs}
    # Nothing else gives Dagster the pool's partitions there.
    assert sensors["new_shards"] == dg.DefaultSensorStatus.RUNNING
    assert sensors["out_of_date"] == dg.DefaultSensorStatus.STOPPED


def test_a_partition_is_built_in_the_projects_own_instance(loaded: Loaded, tmp_path: Path) -> None:
    definitions = loaded({"experiment": EXPERIMENT_FILE, "data": "kept/here"})
    sensor = definitions.resolve_sensor_def("new_shards")
    with dg.instance_for_test() as instance:
        repository = definitions.get_repository_def()
        context = dg.build_sensor_context(instance=instance, repository_def=repository)
        (added,) = sensor.evaluate_tick(context).dynamic_partitions_requests
        instance.add_dynamic_partitions(POOL_PARTITIONS, added.partition_keys)
        job = definitions.resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(
            instance=instance,
            asset_selection=[asset_key("embedded_world/pool"), asset_key("raw_pool")],
            partition_key=added.partition_keys[0],
        )
        assert done.success
        built = instance.get_materialized_partitions(asset_key("raw_pool"))
        assert built == {added.partition_keys[0]}
    assert (tmp_path / "kept" / "here" / "tiny" / "tables" / "raw_pool").is_dir()


def test_a_mistake_in_the_experiment_is_said_with_its_place(loaded: Loaded) -> None:
    wrong = {**EXPERIMENT, "mixes": {"raw": [{"use": "no_such_source"}]}, "report": {}}
    with pytest.raises(Exception, match=r"defs\.yaml \(RecapExperiment\)") as raised:
        loaded({"experiment": wrong})
    said = str(raised.value.__cause__)
    assert "defs.yaml: mixes.raw.rules.0.use: there is no 'no_such_source'" in said


def test_it_is_found_by_its_short_name_and_without_dagster_at_first() -> None:
    package = importlib.import_module("recap_assets")
    assert "RecapExperiment" in dir(package)
    assert issubclass(package.RecapExperiment, dg.Component)
    with pytest.raises(AttributeError, match="nothing_else"):
        _ = package.nothing_else


def test_what_is_scaffolded_is_an_experiment(tmp_path: Path) -> None:
    file = tmp_path / EXPERIMENT_FILE
    file.write_bytes(STARTING_FILE.read_bytes())
    assert load_experiment(file).name == "smoke"
