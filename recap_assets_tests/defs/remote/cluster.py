"""A Ray cluster of several nodes on this machine, and a pool of which it captions the images."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from ray.cluster_utils import Cluster

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.faults.small import experiment
from recap_assets_tests.registering import registered
from recap_assets_tests.watched import POINT

REPOSITORY = Path(__file__).parents[3]
ASSET = "synthetic_captions/a"
ON_A_BUSY_MACHINE = {"RAY_worker_niceness": "0"}
"""By default Ray's workers give way to all other programs."""


@contextmanager
def nodes(n: int, cpus: int = 1) -> Iterator[Cluster]:
    """A head that computes nothing, and `n` nodes."""
    quiet = {"include_dashboard": False, "num_cpus": 0, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=quiet)
    try:
        for _ in range(n):
            add_node(cluster, cpus)
        yield cluster
    finally:
        import ray  # noqa: PLC0415 - a process that the tests share

        ray.shutdown()
        cluster.shutdown()


def add_node(cluster: Cluster, cpus: int = 1) -> Any:
    return cluster.add_node(num_cpus=cpus, object_store_memory=80 * 2**20)


@contextmanager
def kind_everywhere(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The watched captioner, as if installed on all nodes: before those start."""
    site = folder / "site"
    site.mkdir()
    paths = [str(REPOSITORY), str(site), os.environ.get("PYTHONPATH", "")]
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    for name, value in ON_A_BUSY_MACHINE.items():
        patch.setenv(name, value)
    patch.setenv("DAGSTER_HOME", str(REPOSITORY))
    patch.setenv("OMP_NUM_THREADS", "1")
    for name in ("RECAP_TABLES", "RECAP_SET", "RECAP_EXPERIMENT", "RECAP_INSTANCE", "RECAP_DATA"):
        patch.delenv(name, raising=False)
    with registered(site, "captions", POINT):
        yield


def pool_of(folder: Path, n_shards: int, samples: int, **source: object) -> Path:
    """An experiment file over a pool whose one partition has many shards."""
    for number in range(n_shards):
        write_shard(folder / "pool", number, [f"a boat on lake {i}" for i in range(samples)])
    content: dict[str, Any] = {
        **experiment(folder), "mixes": {"raw": [{"use": "raw"}]}, "exports": {},
        "sources": {"a": {"kind": "watched", "log": str(folder / "log"), **source}},
        "pool": {
            "kind": "webdataset", "shards": str(folder / "pool"),
            "shards_per_partition": n_shards,
        },
    }  # fmt: skip
    content["scorers"] = {"b32": {"kind": "open_clip", "model": "ViT-B-32", "pretrained": "openai"}}
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def environment(data: Path, workers: str, **more: str) -> Mapping[str, str]:
    """Of a build."""
    return {**os.environ, "RECAP_DATA": str(data), "RECAP_WORKERS": workers, **more}


def captions(data: Path, tables_root: str | None = None) -> pl.DataFrame:
    """What was captioned, whenever it was; a row for each image."""
    tables = Workspace(data, "faults", tables_root).tables
    rows = tables.read(SYNTHETIC_CAPTIONS)
    assert tables.read(RAW_POOL).height == rows.height
    return rows.drop("seconds").sort("source", "partition", "uid")
