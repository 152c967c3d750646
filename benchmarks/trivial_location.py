"""A code location of assets that compute nothing: what is left is the platform's own cost.

They are the partitioned assets of the tiny experiment, made by the platform's own factory, on a
pool of as many partitions as RECAP_TRIVIAL_PARTITIONS says.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg

sys.path.insert(0, str(Path(__file__).parents[1]))

from recap_assets.assembly.graph import build_graph
from recap_assets.defs.assets import assets_of
from recap_assets.graph.node import Graph, Node, Outcome, Step
from recap_assets.graph.project import Project
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.tiny import tiny_experiment

UPSTREAM, ASSET = "embedded_world/pool", "raw_pool"
"""One that reads nothing, and one that reads the same partition of it."""

ASSETS = (
    UPSTREAM, ASSET, "synthetic_captions/a", "image_embeddings/clip", "clip_scores/clip/raw",
    "clip_scores/clip/a",
)  # fmt: skip
PARTITIONS_VARIABLE = "RECAP_TRIVIAL_PARTITIONS"


def nothing(step: Step) -> Outcome:
    # Content of no rows is not looked for in the storage.
    return Outcome(f"{step.partition} {step.fingerprint}", 0)


def partition_keys() -> list[str]:
    return [f"{i:05d}" for i in range(int(os.environ[PARTITIONS_VARIABLE]))]


def definitions(*, in_pools: bool = True) -> dg.Definitions:
    keys = partition_keys()
    pool = {"kind": "embedded", "samples": len(keys), "samples_per_shard": 1}
    experiment = tiny_experiment(pool=pool)
    project = Project(experiment, Workspace(Path(os.environ["RECAP_DATA"]), "trivial"))
    real = build_graph(project).nodes
    graph = Graph([_trivial(real[key]) for key in ASSETS], lambda _: keys)
    return dg.Definitions(assets=assets_of(graph, project, in_pools=in_pools))


def _trivial(node: Node) -> Node:
    reads = tuple(dep for dep in node.dependencies if dep.asset in ASSETS)
    return replace(node, compute=nothing, dependencies=reads, checks=())


if PARTITIONS_VARIABLE in os.environ:
    defs = definitions()
