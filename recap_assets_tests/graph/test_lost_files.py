"""What has a file that is gone or cut is planned and built again, and nothing else."""

from pathlib import Path

import pytest

from recap_assets.graph.planner import GONE, plan
from recap_assets_tests.tiny import Bench, tiny_experiment

STAGES = ("world", "pool", "models", "captions", "scores", "mixes", "exports")
EXPORTS = {"train": {"mix": "mixed", "to": "webdataset"}}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("data"), tiny_experiment(exports=EXPORTS))
    bench.build(*STAGES)
    assert bench.build(*STAGES) == []
    return bench


def only_file(bench: Bench, below: str) -> Path:
    (file,) = (bench.project.workspace.root / "tables" / below).glob("*.parquet")
    return file


def test_slices_of_tables_and_what_was_derived_on_the_way(bench: Bench) -> None:
    only_file(bench, "clip_scores/scorer=clip/source=raw/partition=00001").unlink()
    cut = only_file(bench, "score_histograms/scorer=clip/source=a/partition=00002")
    cut.write_bytes(cut.read_bytes()[:-1])
    only_file(bench, "thresholds/mix=raw_top30").unlink()
    # The threshold waits for the scores, and is then found gone itself.
    ready = plan(bench.graph, bench.memory).ready
    lost = {one.name for one in ready if one.reason == GONE}
    assert lost == {"clip_scores/clip/raw[00001]", "clip_scores/clip/a[00002]"}
    assert set(bench.build(*STAGES)) == {
        ("clip_scores/clip/raw", "00001"),
        ("clip_scores/clip/a", "00002"),
        ("thresholds/raw_top30", ""),
    }
    assert not any(one.reason == GONE for one in plan(bench.graph, bench.memory).entries)


@pytest.mark.parametrize("n_bytes", [None, 100])
def test_a_tar_of_an_export(bench: Bench, n_bytes: int | None) -> None:
    tar = bench.project.workspace.exports / "train" / "00001" / "00000000.tar"
    before = tar.read_bytes()
    tar.unlink() if n_bytes is None else tar.write_bytes(before[:n_bytes])
    assert bench.build(*STAGES) == [("export_shards/train", "00001")]
    assert tar.read_bytes() == before


def test_a_file_of_a_model_and_the_card_of_an_export(bench: Bench) -> None:
    workspace = bench.project.workspace
    files = [one for one in workspace.model("scorer").rglob("*") if one.is_file()]
    weights = max(files, key=lambda one: one.stat().st_size)
    before = weights.read_bytes()
    weights.unlink()
    (workspace.exports / "train" / "README.md").unlink()
    assert {asset for asset, _ in bench.build(*STAGES)} == {"models/scorer", "exports/train"}
    assert weights.read_bytes() == before
