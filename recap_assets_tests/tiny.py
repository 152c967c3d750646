"""The whole pipeline at its smallest, built without Dagster: for tests of the stages."""

import shutil
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from recap_assets.assembly.graph import build_graph
from recap_assets.graph.building import Built, build_partition
from recap_assets.graph.node import Graph, Node
from recap_assets.graph.planner import plan
from recap_assets.graph.project import Project
from recap_assets.graph.records import Implementation, Record
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import parse_experiment
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.trained_once import trained_once
from recap_assets_tests.undrawn import charts_undrawn

CLIP = {"kind": "clip", "samples_seen": 64, "batch_size": 16}
TOWER = {
    "kind": "small", "image_stages": [8, 16, 32], "text_width": 32, "embedding_dim": 32,
    "vocabulary": 400,
}  # fmt: skip

EXPERIMENT: Mapping[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "pool": {"kind": "embedded", "samples": 60, "samples_per_shard": 20},
    "corpora": {
        "broad": {"kind": "embedded", "style": "broad", "samples": 60, "captions_per_image": 2},
        "pairs": {"kind": "embedded", "style": "scorer", "samples": 60, "captions_per_image": 1},
    },
    "models": {
        "scorer": {**CLIP, "corpus": "pairs", "tower": TOWER},
        "backbone": {**CLIP, "corpus": "broad", "tower": TOWER},
        "captioner": {
            "kind": "captioner", "corpus": "broad", "backbone": "backbone", "samples_seen": 64,
            "batch_size": 16, "width": 32, "layers": 1,
        },
    },
    "sources": {
        "a": {"kind": "embedded", "model": "captioner", "decoding": {"max_tokens": 10, "seed": 1}}
    },
    "scorers": {"clip": {"kind": "embedded", "model": "scorer"}},
    "mixes": {
        "raw": [{"use": "raw"}],
        "raw_top30": [{"use": "raw", "where": {"top": 0.3}}],
        "mixed": [{"use": "raw", "where": {"top": 0.3}}, {"use": "a"}],
    },
    "diversity": {"sample": 30},
    "training": {"samples_seen": 64, "batch_size": 16, "tower": TOWER, "seeds": [0]},
    "evaluation": {
        "tasks": {
            "coarse": {"kind": "embedded", "task": "coarse", "samples": 24},
            "retrieval": {"kind": "embedded", "task": "retrieval", "samples": 12},
        }
    },
    "report": {
        "raw": "raw", "raw_filtered": "raw_top30", "mixed": ["mixed"],
        "retrieval_task": "retrieval", "examples": 3,
    },
}  # fmt: skip


def tiny_experiment(**changes: Any) -> Experiment:
    """The tiny experiment with some top-level keys replaced."""
    return parse_experiment({**EXPERIMENT, **changes})


class Memory:
    """Records in a dict."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Record]] = {}
        self.implementations: dict[str, Implementation] = {}
        self.facts_by_version: dict[tuple[str, str], Mapping[str, str | float]] = {}
        self.n_events = 0

    def latest(self, asset: str) -> Mapping[str, Record]:
        return self.records.get(asset, {})

    def implementation(self, asset: str, record: Record) -> Implementation | None:  # noqa: ARG002
        return self.implementations.get(record.code_version)

    def facts(self, asset: str, data_version: str) -> Mapping[str, str | float]:
        return self.facts_by_version.get((asset, data_version), {})

    def keep(self, node: Node, partition: str, built: Built) -> None:
        """Remember what was built, and what it was built by."""
        self.n_events += 1
        record = replace(built.record, event_id=self.n_events)
        self.records.setdefault(node.key, {})[partition] = record
        told = Implementation(node.implementation, node.decides)
        self.implementations[node.code_version] = told
        if not built.reused:
            self.facts_by_version[node.key, record.data_version] = built.outcome.facts


class Bench:
    """An experiment in a folder, built in this process."""

    def __init__(self, folder: Path, experiment: Experiment, memory: Memory | None = None) -> None:
        self.project = Project(experiment, Workspace(folder, experiment.name))
        self.memory = memory or Memory()
        self.graph: Graph = build_graph(self.project)

    def copied(self, folder: Path, experiment: Experiment | None = None) -> "Bench":
        """What was built, in another folder; of the same experiment if no other is given."""
        shutil.copytree(self.project.workspace.data, folder, dirs_exist_ok=True)
        return Bench(folder, experiment or self.project.experiment, deepcopy(self.memory))

    def build(self, *stages: str, draws: bool = False) -> list[tuple[str, str]]:
        """Build what is out of date, in the given stages only; what was computed, in order.

        Charts are drawn where a test asks for it.
        """
        with nullcontext() if draws else charts_undrawn():
            return self._build(stages)

    def _build(self, stages: Collection[str]) -> list[tuple[str, str]]:
        computed = []
        while ready := [
            entry
            for entry in plan(self.graph, self.memory).ready
            if not stages or self.graph.nodes[entry.asset].stage in stages
        ]:
            for entry in ready:
                node = trained_once(self.graph.nodes[entry.asset])
                built = build_partition(self.graph, self.memory, node, entry.partition)
                self.memory.keep(node, entry.partition, built)
                computed.append((entry.asset, entry.partition))
        return computed
