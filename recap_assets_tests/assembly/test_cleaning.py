"""What a crash left goes once nobody writes to it; what a build can go on from stays."""

import os
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import polars as pl
import pytest

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.assembly.cleaning import leftovers, remove, resumable_fingerprints
from recap_assets.graph.node import Outcome, Step
from recap_assets.graph.parts import StoredParts
from recap_assets.graph.shardwise import ShardProgress, by_shard
from recap_assets.storage.files import replaced_directory, write_atomically
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.tiny import Bench, tiny_experiment

DAY = 24 * 3600.0


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, "tiny")


def put(path: Path, size: int = 10, days: float = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    age(path, days)
    age(path.parent, days)
    return path


def age(path: Path, days: float) -> None:
    os.utime(path, (time.time() - days * DAY,) * 2)


def found(workspace: Workspace, *resumable: str) -> dict[Path | str, tuple[str, int]]:
    return {one.path: (one.kind, one.n_bytes) for one in leftovers(workspace, resumable)}


def test_scratch_of_outdated_fingerprints_goes(workspace: Workspace) -> None:
    folder = workspace.scratch / "synthetic_captions" / "a"
    put(folder / "old" / "0.parquet", 7)
    put(folder / "old" / "1.parquet", 5)
    put(folder / "current" / "0.parquet")
    put(folder / "running" / "0.parquet", days=0.1)
    assert found(workspace, "current") == {folder / "old": ("scratch", 12)}
    remove(leftovers(workspace, ["current"]))
    assert sorted(path.name for path in folder.iterdir()) == ["current", "running"]


def test_parts_of_outdated_fingerprints_go(workspace: Workspace) -> None:
    kept = {
        name: StoredParts.of(workspace.tables.root, "synthetic_captions/a", name)
        for name in ("old", "current", "running")
    }
    for name, parts in kept.items():
        parts.keep(0, pl.DataFrame({"uid": [b"1"]}))
        age(Path(parts.root) / "0.parquet", 0.1 if name == "running" else 2)
    assert [one[0] for one in found(workspace, "current").values()] == ["parts"]
    remove(leftovers(workspace, ["current"]))
    assert {name for name, parts in kept.items() if parts.kept()} == {"current", "running"}


@pytest.mark.parametrize("where", ["scratch", "workers"])
def test_the_next_build_goes_on_from_what_is_resumable(where: str, tmp_path: Path) -> None:
    pool = {"kind": "embedded", "samples": 60, "samples_per_shard": 20, "shards_per_partition": 3}
    bench = Bench(tmp_path, tiny_experiment(pool=pool))
    workspace = bench.project.workspace
    for key, node in bench.graph.nodes.items():
        if node.stage == "models":
            bench.graph.nodes[key] = replace(node, compute=lambda _step: Outcome("trained", 0))
    captions = bench.graph.nodes[SYNTHETIC_CAPTIONS.key("a")]
    bench.graph.nodes[SYNTHETIC_CAPTIONS.key("a")] = replace(
        captions, compute=partial(_killed_midway, bench)
    )
    bench.build("world", "pool", "models")
    with pytest.raises(KeyboardInterrupt):
        bench.build("captions")
    (left,) = (workspace.scratch / SYNTHETIC_CAPTIONS.key("a")).iterdir()
    assert len(list(left.iterdir())) == 2
    if where == "workers":
        parts = StoredParts.of(workspace.tables.root, SYNTHETIC_CAPTIONS.key("a"), left.name)
        shutil.copytree(left, parts.root)
        shutil.rmtree(workspace.scratch)
        left = Path(parts.root)
    for path in [left, *left.iterdir()]:
        age(path, 2)
    now = resumable_fingerprints(workspace, bench.graph, bench.memory)
    assert (now, found(workspace, *now)) == ({left.name}, {})
    edited = {"kind": "embedded", "model": "captioner", "decoding": {"max_tokens": 9, "seed": 1}}
    other = Bench(tmp_path, tiny_experiment(pool=pool, sources={"a": edited}), bench.memory)
    then = resumable_fingerprints(workspace, other.graph, other.memory)
    assert [Path(path) for path in found(workspace, *then)] == [left]


def _killed_midway(bench: Bench, step: Step) -> Outcome:
    def compute(shard: pl.DataFrame, _advance: ShardProgress) -> pl.DataFrame:
        return _die() if 2 in shard["shard"] else shard

    images = bench.project.usable_images(step.partition)
    by_shard(bench.project, step, images, compute)
    raise AssertionError


def test_without_scratch_nothing_is_resumable(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tiny_experiment())
    assert resumable_fingerprints(bench.project.workspace, bench.graph, bench.memory) == set()


def test_what_a_dead_writer_left_goes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names are those that the writers give, not those that this test believes in."""
    monkeypatch.setattr(Path, "replace", _die)
    monkeypatch.setattr(Path, "unlink", lambda *_args, **_kwargs: None)
    monkeypatch.setattr("shutil.rmtree", lambda *_args, **_kwargs: None)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(workspace.manifest, b"half")
    with pytest.raises(KeyboardInterrupt):
        _write_half_a_folder(workspace.model("m"))
    monkeypatch.undo()
    left = list(workspace.root.rglob(".*"))
    assert len(left) == 2
    assert found(workspace) == {}
    for path in [*left, *workspace.root.rglob("*")]:
        age(path, 2)
    assert {one[1] for one in found(workspace).values()} == {4, 3}
    remove(leftovers(workspace, ()))
    assert [path for path in workspace.root.rglob("*") if path.is_file()] == []


def _die(*_args: object, **_kwargs: object) -> NoReturn:
    raise KeyboardInterrupt


def _write_half_a_folder(path: Path) -> None:
    with replaced_directory(path) as new:
        (new / "weights").write_bytes(b"123")
        _die()


def test_whole_files_and_foreign_storage_are_left_alone(workspace: Workspace) -> None:
    put(workspace.manifest)
    put(workspace.receipts / "a.json")
    put(workspace.model("m") / "weights.safetensors")
    put(workspace.root / "tables" / "raw_pool" / ".part.abcdefgh")
    put(workspace.instance / ".journal.abcdefgh")
    assert found(workspace) == {}
    report = put(workspace.latest_report.with_name(".index.html.abcd_123"))
    retired = put(workspace.models / ".m.old" / "weights").parent
    half = put(workspace.trained / "mix" / "0.checkpoint.4711.tmp")
    assert set(found(workspace)) == {report, retired, half}


def test_the_checkpoint_of_a_finished_run_goes_and_that_of_a_running_one_stays(
    workspace: Workspace,
) -> None:
    runs = workspace.trained / "mix"
    finished, resumed, first = (
        put(runs / f"{n}.checkpoint", days=d) for n, d in enumerate((3, 2, 2))
    )
    for number, days in ((0, 2), (1, 3)):
        put(runs / str(number) / "model", days=days)
    age(finished, 3)
    assert found(workspace) == {finished: ("checkpoint", 10)}
    assert resumed.exists()
    assert first.exists()
