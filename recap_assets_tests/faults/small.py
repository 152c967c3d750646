"""The experiment that the faults are put into: scores, a mix and its export, and no model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.defs.test_daemon import SCORER
from recap_assets_tests.tiny import EXPERIMENT

N_SHARDS, SAMPLES = 2, 6
SELECT = ("curated_mixes/*", "exports/*")
HALF = ("raw_pool", "clip_scores/b32/raw")
"""What a half-built state has."""


def write_experiment(folder: Path, file: Path) -> Path:
    """The pool with its scores in `folder`; the path of the file."""
    uids = [f"{100 * number + i:032x}" for number in range(N_SHARDS) for i in range(SAMPLES)]
    for number in range(N_SHARDS):
        write_shard(folder / "pool", number, [f"a boat on lake {i}" for i in range(SAMPLES)])
    metadata = folder / "metadata"
    metadata.mkdir()
    scores = np.random.default_rng(1).uniform(0.1, 0.4, len(uids)).astype(np.float32)
    pl.DataFrame({"uid": uids, "score": scores}).write_parquet(metadata / "0.parquet")
    np.savez(metadata / "0.npz", emb=np.ones((len(uids), 4), np.float16))
    file.write_text(yaml.safe_dump(experiment(folder)))
    return file


def experiment(folder: Path) -> Mapping[str, Any]:
    """What the file says."""
    return {
        "name": "faults",
        "seed": 1,
        "pool": {
            "kind": "webdataset", "shards": str(folder / "pool"),
            "metadata": str(folder / "metadata"),
        },
        "sources": {},
        "scorers": {"b32": SCORER},
        "training": EXPERIMENT["training"],
        "evaluation": EXPERIMENT["evaluation"],
        "mixes": {
            "top": [{"use": "raw", "where": {"top": 0.5}}],
        },
        "exports": {
            "uids": {"to": "subset", "mix": "top"},
        },
    }  # fmt: skip


def edit(file: Path) -> None:
    """Another threshold for the mix that has one."""
    content = yaml.safe_load(file.read_text())
    content["mixes"]["top"][0]["where"]["top"] = 0.25
    file.write_text(yaml.safe_dump(content))
