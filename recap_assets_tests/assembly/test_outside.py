"""What lies outside the graph and is read: metadata, class names, a model that is replaced."""

import itertools
import os
from pathlib import Path

import polars as pl
import pytest

from recap_assets.assembly.graph import build_graph
from recap_assets.graph import outside
from recap_assets.graph.project import Project
from recap_assets.specs.experiment import Experiment
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.tiny import tiny_experiment

SCORES = "clip_l14_similarity_score"
GIVEN = {
    "clip": {
        "kind": "open_clip",
        "model": "ViT-L-14",
        "pretrained": "openai",
        "pool_scores": SCORES,
        "pool_embeddings": "l14_img",
    }
}


@pytest.fixture(autouse=True)
def each_look_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_moment", itertools.count().__next__)


def _write_metadata(folder: Path, name: str, score: float) -> None:
    folder.mkdir(exist_ok=True)
    frame = pl.DataFrame({"uid": [f"{0:032x}"], "text": ["a boat"], SCORES: [score]})
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    os.utime(path, (score * 1000, score * 1000))  # files may be written within one tick


def _pool(tmp_path: Path) -> Experiment:
    for number in (0, 1):
        write_shard(tmp_path / "pool", number, ["a boat"])
    pool = {
        "kind": "webdataset",
        "shards": str(tmp_path / "pool"),
        "metadata": str(tmp_path / "metadata"),
    }
    return tiny_experiment(pool=pool, scorers=GIVEN)


def _read(experiment: Experiment, tmp_path: Path, *assets: str) -> dict[str, list[str]]:
    project = Project(experiment, Workspace(tmp_path / "data", experiment.name))
    nodes = build_graph(project).nodes
    reads = {asset: nodes[asset].outside for asset in assets}
    return {asset: [read("00000"), read("00001")] for asset, read in reads.items() if read}


ASSETS = ("raw_pool", "image_embeddings/clip", "clip_scores/clip/raw")


def test_other_metadata_is_read_by_all_that_read_it(tmp_path: Path) -> None:
    experiment = _pool(tmp_path)
    _write_metadata(tmp_path / "metadata", "one", 0.1)
    before = _read(experiment, tmp_path, *ASSETS)
    assert before.keys() == set(ASSETS)
    _write_metadata(tmp_path / "metadata", "one", 0.2)
    after = _read(experiment, tmp_path, *ASSETS)
    assert all(after[asset][i] != before[asset][i] for asset in ASSETS for i in (0, 1))


def test_another_folder_with_the_same_files_is_the_same(tmp_path: Path) -> None:
    experiment = _pool(tmp_path)
    _write_metadata(tmp_path / "metadata", "one", 0.1)
    before = _read(experiment, tmp_path, *ASSETS)
    (tmp_path / "metadata").rename(tmp_path / "moved")
    pool = experiment.pool.model_copy(update={"metadata": str(tmp_path / "moved")})
    moved = experiment.model_copy(update={"pool": pool})
    assert _read(moved, tmp_path, *ASSETS) == before


def test_a_pool_grows_shard_by_shard_with_its_metadata(tmp_path: Path) -> None:
    experiment = _pool(tmp_path)
    for number in (0, 1):
        _write_metadata(tmp_path / "metadata", f"{number:08d}", 0.1)
    before = _read(experiment, tmp_path, *ASSETS)
    _write_metadata(tmp_path / "metadata", "00000002", 0.1)
    assert _read(experiment, tmp_path, *ASSETS) == before
    _write_metadata(tmp_path / "metadata", "00000001", 0.2)
    after = _read(experiment, tmp_path, *ASSETS)
    for asset in ASSETS:
        assert (after[asset][0], after[asset][1]) != tuple(before[asset])
        assert after[asset][0] == before[asset][0]


def test_embeddings_beside_the_metadata_count_where_they_are_read(tmp_path: Path) -> None:
    experiment = _pool(tmp_path)
    _write_metadata(tmp_path / "metadata", "one", 0.1)
    before = _read(experiment, tmp_path, *ASSETS)
    (tmp_path / "metadata" / "one.npz").write_bytes(b"vectors")
    after = _read(experiment, tmp_path, *ASSETS)
    changed = [asset for asset in ASSETS if after[asset] != before[asset]]
    assert changed == ["image_embeddings/clip"]


@pytest.mark.parametrize("name", ["classnames.txt", "zeroshot_classification_templates.txt"])
def test_other_class_names_are_evaluated_anew(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "set"
    write_shard(folder / "test", 0, ["a boat"])
    (folder / name).write_text("boat\n")
    task = {"kind": "webdataset", "path": str(folder)}
    experiment = tiny_experiment(evaluation={"tasks": {"own": task}}, report={})
    (asset,) = (f"evaluation_results/{mix}" for mix in list(experiment.mixes)[:1])
    before = _read(experiment, tmp_path, asset)
    (folder / name).write_text("ship\nharbour\n")
    assert _read(experiment, tmp_path, asset) != before
