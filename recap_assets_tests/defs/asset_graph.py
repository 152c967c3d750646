"""The asset graph of the tiny experiment as JSON values, so that a review shows every change.

`python -m recap_assets_tests.defs.asset_graph` writes it anew.
"""

import json
import tempfile
from pathlib import Path

import dagster as dg

from recap_assets.assembly.graph import build_graph
from recap_assets.defs.assets import assets_of
from recap_assets.graph.project import Project
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.tiny import tiny_experiment

SNAPSHOT = Path(__file__).with_name("asset_graph.json")


def asset_graph(folder: Path) -> str:
    """Every asset with its group, partitions, what it reads and how."""
    experiment = tiny_experiment()
    project = Project(experiment, Workspace(folder, experiment.name))
    assets = assets_of(build_graph(project), project)
    by_key = {asset.key.to_user_string(): _described(asset) for asset in assets}
    return json.dumps(dict(sorted(by_key.items())), indent=1) + "\n"


def _described(asset: dg.AssetsDefinition) -> dict[str, object]:
    (spec,) = asset.specs
    return {
        "group": spec.group_name,
        "partitions": _kind(asset.partitions_def),
        "checks": sorted(check.name for check in asset.check_specs),
        "reads": {dep.asset_key.to_user_string(): _mapping(dep) for dep in spec.deps},
    }


def _kind(partitions: dg.PartitionsDefinition | None) -> str:
    if isinstance(partitions, dg.DynamicPartitionsDefinition):
        return f"dynamic: {partitions.name}"
    return "none" if partitions is None else f"static: {partitions.get_partition_keys()}"


def _mapping(dep: dg.AssetDep) -> str:
    return "by default" if dep.partition_mapping is None else type(dep.partition_mapping).__name__


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        SNAPSHOT.write_text(asset_graph(Path(scratch)))
