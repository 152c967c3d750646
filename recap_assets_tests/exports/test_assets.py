"""Exports in the graph: what is planned, built again, and removed."""

from pathlib import Path
from typing import Any

import pytest

from recap_assets.exports.declared import shard_list
from recap_assets.graph.planner import plan
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

STAGES = ("world", "pool", "models", "captions", "scores", "mixes", "exports")
EXPORTS = {
    "train": {"mix": "mixed", "to": "webdataset"},
    "uids": {"mix": "raw_top30", "to": "subset"},
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("data"), tiny_experiment(exports=EXPORTS))
    bench.build(*STAGES)
    return bench


def edited(bench: Bench, **changes: Any) -> Bench:
    experiment = tiny_experiment(**{"exports": EXPORTS, **changes})
    return Bench(bench.project.workspace.data, experiment, bench.memory)


def test_everything_is_exported_once(bench: Bench) -> None:
    assert shard_list(bench.project, "train").n_samples == 60
    assert bench.build(*STAGES) == []


def test_a_partition_whose_shards_are_gone_is_exported_again_and_no_other(bench: Bench) -> None:
    folder = bench.project.workspace.exports / "train"
    tar = folder / "00001" / "00000000.tar"
    before = tar.read_bytes()
    tar.unlink()
    (folder / "partition-00001.json").unlink()
    assert bench.build(*STAGES) == [("export_shards/train", "00001")]
    assert tar.read_bytes() == before


def test_a_licence_or_another_order_of_options_exports_no_shard_again(bench: Bench) -> None:
    described = {**EXPORTS, "train": {"to": "webdataset", "mix": "mixed"}}
    assert edited(bench, exports=described).build(*STAGES) == []
    hub = {"hub": {"mix": "mixed", "to": "huggingface"}}
    edited(bench, exports={**EXPORTS, **hub}).build(*STAGES)
    licensed = {"hub": {**hub["hub"], "license": "mit"}}
    again = edited(bench, exports={**EXPORTS, **licensed}).build(*STAGES)
    assert again == [("exports/hub", "")]


def test_other_rules_that_choose_the_same_are_told_in_the_card(bench: Bench) -> None:
    mixes = {**EXPERIMENT["mixes"], "raw_top30": [{"use": "raw", "where": {"top": 0.301}}]}
    folder = bench.project.workspace.exports / "uids"
    before = {path.name: path.read_bytes() for path in folder.glob("*.npy")}
    computed = {asset for asset, _ in edited(bench, mixes=mixes).build(*STAGES)}
    assert {path.name: path.read_bytes() for path in folder.glob("*.npy")} == before != {}
    assert "exports/uids" in computed
    assert "top: 0.301" in (folder / "README.md").read_text()


def test_an_edit_of_another_mix_exports_nothing_and_one_of_its_own_what_changed(
    bench: Bench,
) -> None:
    mixes = {**EXPERIMENT["mixes"], "raw_top30": [{"use": "raw", "where": {"top": 0.5}}]}
    computed = {asset for asset, _ in edited(bench, mixes=mixes).build(*STAGES)}
    assert computed == {"thresholds/raw_top30", "curated_mixes/raw_top30", "exports/uids"}


def test_an_export_that_left_the_experiment_is_removed(bench: Bench) -> None:
    folder = bench.project.workspace.exports
    removals = plan(edited(bench, exports={}).graph, bench.memory).removals
    for one in removals:
        if one.asset.startswith("exports/"):
            one.remove()
    assert {"exports/train", "exports/uids"} <= {one.asset for one in removals}
    assert not any(folder.iterdir())


def test_the_folder_of_an_export_may_lie_elsewhere(bench: Bench, tmp_path: Path) -> None:
    elsewhere = {"uids": {**EXPORTS["uids"], "folder": str(tmp_path / "out")}}
    again = edited(bench, exports=elsewhere)
    again.build(*STAGES)
    assert (tmp_path / "out" / "sample_ids_raw.npy").exists()
    assert not [one for one in plan(again.graph, bench.memory).removals if "uids" in one.asset]
