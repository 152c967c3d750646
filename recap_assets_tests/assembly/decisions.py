"""What decides each asset and what it reads, so that a review shows what a change builds anew.

`python -m recap_assets_tests.assembly.decisions` writes the snapshot anew.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from recap_assets.assembly.graph import build_graph
from recap_assets.graph.node import Node
from recap_assets.graph.project import Project
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import load_experiment
from recap_assets.storage.workspace import Workspace

SNAPSHOT = Path(__file__).with_name("decisions.json")
EVERY_KIND = Path(__file__).with_name("every_kind.yaml")
SHIPPED = Path(__file__).parents[2] / "recap_assets" / "experiments"

VARIANTS: Mapping[str, tuple[str, ...]] = {
    "webdataset pool": (
        "pool={kind: webdataset, shards: shards, metadata: metadata, "
        "columns: {label: metadata.label}}",
    ),
    "folder pool": (
        "pool={kind: folder, images: images, texts: texts.csv, columns: {label: table.label}}",
    ),
    "urls pool": (
        "pool={kind: urls, urls: urls.parquet, metadata: metadata, verify_hash: {column: sha256}, "
        "columns: {label: json.label}}",
    ),
    "torchrun": ("training={launcher: torchrun, scale: debug}",),
    "two stages": (
        "training={prefix: source, loss: {kind: two_stage}}",
        "training.track={kind: wandb}",
        "evaluation.prefix=small",
        "scorers.preferred={kind: reward, model: referee}",
        "sources.melted={kind: rewrite, reads: [raw], by: {kind: embedded, model: fuser}}",
    ),
    "search": (
        "training.track={kind: trackio}",
        "searches={top: {over: {mixes.top.rules.0.where.top: {low: 0.1, high: 0.9}, "
        "mixes.top.rules.1.use: {choices: [small, blip2]}}, among: [top, best], samples_seen: 10}}",
    ),
}
"""Beside every_kind.yaml as it is: what an experiment has one of."""


def decisions(folder: Path) -> str:
    """Of every asset of the shipped experiments and of `every_kind`: its version, what it reads.

    Args:
        folder: An empty folder, for workspaces.
    """
    names = ["every_kind", *(f"every_kind, {name}" for name in VARIANTS)]
    shipped = {path.stem: _load(path) for path in sorted(SHIPPED.glob("*.yaml"))}
    found = shipped | dict(zip(names, every_kind(), strict=True))
    return json.dumps({name: _of(one, folder) for name, one in found.items()}, indent=1) + "\n"


def every_kind() -> list[Experiment]:
    """Experiments that have, all together, every kind of everything."""
    return [_load(EVERY_KIND, settings) for settings in [(), *VARIANTS.values()]]


def _load(path: Path, settings: tuple[str, ...] = ()) -> Experiment:
    with pytest.MonkeyPatch.context() as patch:
        # The shipped ones must not depend on where somebody has the real data.
        patch.delenv("RECAP_SHARED_DATA", raising=False)
        return load_experiment(path, settings)


def _of(experiment: Experiment, folder: Path) -> dict[str, str]:
    project = Project(experiment, Workspace(folder, experiment.name))
    nodes = build_graph(project).nodes.values()
    return dict(sorted((node.key, _described(node)) for node in nodes))


def _described(node: Node) -> str:
    reads = sorted(f"{dep.asset} ({dep.partitions})" for dep in node.dependencies)
    beside = ["outside"] if node.outside is not None else []
    return f"{node.code_version} <- {', '.join([*reads, *beside])}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        SNAPSHOT.write_text(decisions(Path(scratch)))
