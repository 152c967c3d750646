"""Forgetting samples of pools that are not ours to write to, and of two experiments at once."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.defs.session import Session
from recap_assets_tests.assembly.forgetting.scene import SMALL, Scene, built
from recap_assets_tests.assembly.forgetting.searched import found_in
from recap_assets_tests.cli.running import Recap, recap_in, set_environment
from recap_assets_tests.cli.shards_built import build

PARTS = ("raw_pool", "curated_mixes/raw", "export_shards/tars", "exports/tars")


def web(pool: Path, name: str) -> dict[str, object]:
    """An experiment over tars that are somebody else's."""
    shards = {"kind": "webdataset", "shards": str(pool), "shards_per_partition": 1}
    exports = {"tars": {"mix": "raw", "to": "webdataset"}}
    return {**SMALL, "name": name, "pool": shards, "mixes": {"raw": [{"use": "raw"}]},
            "sources": {}, "exports": exports}  # fmt: skip


@pytest.mark.parametrize("name", ["webalt", "flickr8k_web"])
def test_a_real_pool_is_named_and_left_as_it_is(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    shard = shared_data / "pools" / name / "shards" / "00000000.tar"
    shutil.copy(shard, pool / shard.name)
    set_environment(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    recap: Recap = recap_in(monkeypatch, tmp_path)
    scene = built(tmp_path, web(pool, "first"), *PARTS)
    row = scene.samples().sort("text").row(-1, named=True)
    wanted = scene.wanted(row, Session(scene.file).project)
    assert len({path for path, _ in found_in(scene.data, wanted)}) >= 4
    done = recap("forget", "--uid", row["uid"].hex(), "--yes", "--json")
    assert done.exit_code == 0, done.output
    certificate = json.loads(done.stdout)
    assert found_in(scene.data, wanted) == set()
    assert certificate["experiments"][0]["pool_elsewhere"] == [str(pool / shard.name)]
    assert (pool / shard.name).read_bytes() == shard.read_bytes()
    for asset in ("raw_pool", "curated_mixes/raw"):
        verified = recap("-e", scene.file, "verify", asset)
        assert (verified.exit_code, "all equal" in verified.output) == (0, True), verified.output
    # The tar has it still: neither this experiment nor another takes it in again.
    rows = scene.workspace.tables.read(RAW_POOL)
    build(scene.file, "raw_pool", tags={"recap/force": "true"})
    assert scene.workspace.tables.read(RAW_POOL).equals(rows)
    second = built(tmp_path / "second", web(pool, "second"), "raw_pool")
    other = Scene(tmp_path, second.file, "second").workspace.tables.read(RAW_POOL)
    assert other.filter(pl.col("reject_reason") == "forgotten").height == 1
    assert found_in(scene.data, wanted) == set()
