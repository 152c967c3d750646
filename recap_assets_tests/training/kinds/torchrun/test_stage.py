"""open_clip's trainer on exported shards of a real pool: DataComp's debug scale, cut to a CPU."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.evaluation import EVALUATION_RESULTS
from recap_assets.artefacts.training import TRAINING_CURVES
from recap_assets.engines.trained import load_trained_clip
from recap_assets.graph.building import build_partition
from recap_assets_tests.tiny import Bench, tiny_experiment
from recap_assets_tests.tracking.remembered import (
    TRACK,
    Run,
)
from recap_assets_tests.waiting import wait_for

pytestmark = pytest.mark.long(reason="open_clip's trainer in processes of its own")

CUT = {
    "launcher": "torchrun", "scale": "debug", "model": "ViT-S-32-alt", "batch_size": 8,
    "samples_seen": 16, "warmup_steps": 1, "checkpoints": 1, "workers": 1,
}  # fmt: skip


def experiment(pool_folder: Path, **changes: Any) -> Any:
    pool = {"kind": "webdataset", "shards": str(pool_folder)}
    mixes = {"best": [{"use": "raw", "where": {"top": 0.1}}]}
    return tiny_experiment(
        pool=pool, mixes=mixes, sources={}, report={}, **{"training": CUT, **changes}
    )


def test_a_mix_of_a_real_pool_is_trained_by_torchrun_tracked_and_evaluated(
    shared_data: Path, tmp_path: Path, runs: dict[str, Run]
) -> None:
    one_shard = tmp_path / "pool"
    one_shard.mkdir()
    for suffix in (".tar", "_stats.json"):
        name = f"00000000{suffix}"
        shutil.copy(shared_data / "pools" / "flickr8k_web" / "shards" / name, one_shard)
    bench = Bench(tmp_path, experiment(one_shard, training={**CUT, "track": TRACK}))
    bench.build("world", "pool", "models", "scores", "mixes", "exports")
    seen: list[dict[str, float]] = []

    def observe(figures: Mapping[str, float]) -> None:
        if seen:
            first = "the tracker has a point before the next one is sent"
            wait_for(lambda: any(run.points for run in runs.values()), first)
        seen.append(dict(figures))

    for asset in ("training_pairs/best", "training_shards/best", "trained_clip/best"):
        node = bench.graph.nodes[asset]
        key = "0" if node.dimension == "seed" else ""
        told = build_partition(bench.graph, bench.memory, node, key, observe=observe)
        bench.memory.keep(node, key, told)
    assert [figures["samples_seen"] for figures in seen] == [8, 16]
    assert {"loss", "learning_rate", "samples_per_second"} <= set(seen[0])
    tables = bench.project.workspace.tables
    curve = tables.read(TRAINING_CURVES).sort("step")
    assert curve["samples_seen"].to_list() == [8, 16]
    assert curve["loss"].is_finite().all()
    scorer = load_trained_clip(bench.project.workspace.checkpoint("best", 0), 4)
    assert scorer.embedding_dim == 256
    (run,) = runs.values()
    assert [step for step, _ in run.points] == [1, 2]
    for (_, figures), observed in zip(run.points, seen, strict=True):
        assert figures["loss"] == observed["loss"]
        # What is read from the log of a finished training does not have it.
        assert figures["samples_per_second"] == observed["samples_per_second"]
    assert run.identity.params["training.launcher"] == "torchrun"
    assert run.ended == ["finished"]
    bench.build("evaluation")
    assert {name.partition("/")[0] for name in run.results} == {"coarse", "retrieval"}
    results = tables.read(EVALUATION_RESULTS).filter(pl.col("is_main"))
    assert set(results["task"]) == {"coarse", "retrieval"}

    # Shards of another size hold the same pairs: they are written, and nothing is trained.
    smaller = {"shards": {"mix": "best", "to": "webdataset", "samples_per_shard": 20}}
    again = Bench(tmp_path, experiment(one_shard, exports=smaller), bench.memory)
    rebuilt = {asset for asset, _ in again.build("exports", "training", "evaluation")}
    assert "export_shards/shards" in rebuilt
    assert "training_shards/best" in rebuilt
    assert not {"trained_clip/best", "evaluation_results/best"} & rebuilt
