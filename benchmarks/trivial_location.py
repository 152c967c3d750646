"""A code location of two assets that compute nothing: what is left is the platform's own cost.

Both are made by the platform's own factory: `embedded_world/pool` reads nothing, `raw_pool` reads
the same partition of it. RECAP_TRIVIAL_PARTITIONS says how many partitions the pool has.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg

sys.path.insert(0, str(Path(__file__).parents[1]))

from recap_assets.defs.assets import assets_of
from recap_assets.orchestration.graph import Graph, Outcome, Step
from recap_assets.stages.graph import build_graph
from recap_assets.stages.setting import Setting
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.tiny import tiny_experiment

UPSTREAM, ASSET = "embedded_world/pool", "raw_pool"
PARTITIONS_VARIABLE = "RECAP_TRIVIAL_PARTITIONS"


def nothing(step: Step) -> Outcome:
    # Content of no rows is not looked for in the storage.
    return Outcome(f"{step.partition} {step.fingerprint}", 0)


def partition_keys() -> list[str]:
    return [f"{i:05d}" for i in range(int(os.environ[PARTITIONS_VARIABLE]))]


def trivial_graph() -> Graph:
    keys = partition_keys()
    pool = {"kind": "embedded", "samples": len(keys), "samples_per_shard": 1}
    experiment = tiny_experiment(pool=pool)
    setting = Setting(experiment, Workspace(Path(os.environ["RECAP_DATA"]), "trivial"))
    real = build_graph(setting).nodes
    nodes = [replace(real[key], compute=nothing, checks=()) for key in (UPSTREAM, ASSET)]
    return Graph(nodes, lambda _: keys)


def definitions(*, in_pools: bool = True) -> dg.Definitions:
    return dg.Definitions(assets=assets_of(trivial_graph(), in_pools=in_pools))


if PARTITIONS_VARIABLE in os.environ:
    defs = definitions()
