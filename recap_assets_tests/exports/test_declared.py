"""Exports that an experiment declares, as assets."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.exports.checksums import check_folder
from recap_assets.exports.declared import shard_list
from recap_assets.graph.node import Step
from recap_assets.specs.loading import ExperimentError
from recap_assets.storage.folders import Folder
from recap_assets_tests.exports.exported_pools import (
    build_mixes,
    index,
    only,
    real_experiment,
    real_setting,
    samples_in,
    wanted_pairs,
    write_captions_and_scores,
)
from recap_assets_tests.tiny import Bench

EXPORTS = {
    "train": {"mix": "each", "to": "webdataset", "samples_per_shard": 25},
    "uids": {"mix": "each", "to": "subset"},
}


def test_as_assets_only_the_changed_partition_is_exported_again(pool: Path, tmp_path: Path) -> None:
    own = tmp_path / "pool"
    shutil.copytree(pool, own)
    bench = Bench(tmp_path / "data", real_experiment(own, exports=EXPORTS, mixes=only("each")))
    project = bench.project
    project.scan()
    for partition in project.partitions:
        index(project, partition)
        write_captions_and_scores(project, partition)
    build_mixes(project)
    shards, whole = bench.graph.nodes["export_shards/train"], bench.graph.nodes["exports/train"]
    versions = {p: shards.compute(Step(p)).data_version for p in project.partitions}
    outcome = whole.compute(Step(""))
    assert bench.graph.nodes["exports/uids"].compute(Step("")).n_rows == outcome.n_rows + sum(
        outcome.rejected.values()
    )
    out = project.workspace.exports / "train"
    # DataComp's train.py looks for meta.json in every folder below, and counts its shards from 0.
    for partition in project.partitions:
        for group in ("weight_1", "weight_3"):
            meta = json.loads((out / group / partition / "meta.json").read_text())
            names = [
                meta["output_shard_format"].format(i) for i in range(meta["output_shard_count"])
            ]
            assert sorted(p.name for p in (out / group / partition).glob("*.tar")) == names
            sizes = json.loads((out / group / partition / "sizes.json").read_text())
            assert max(sizes.values()) - min(sizes.values()) <= 1
    assert check_folder(Folder(str(out))).problems == {}
    assert shard_list(project, "train").n_samples == outcome.n_rows
    found = Counter(
        (json.loads(sample["json"])["uid"], sample["txt"].decode()) for sample in samples_in(out)
    )
    assert found == wanted_pairs(project, "each")
    # What the records say is what lies there, and is told as gone where it does not.
    for partition, version in versions.items():
        assert shards.stored_version(partition, {}) == version
    assert whole.stored_version("", {}) == outcome.data_version
    (first, *others) = project.partitions
    tar = out / "weight_1" / first / "00000000.tar"
    tar.write_bytes(tar.read_bytes().replace(b"ustar", b"astar", 1))
    assert shards.stored_version(first, {}) != versions[first]
    assert all(shards.stored_version(p, {}) == versions[p] for p in others)


def test_the_shards_depend_on_the_mix_the_pool_and_the_captions_that_go_along(
    pool: Path, tmp_path: Path
) -> None:
    def reads(**options: Any) -> set[str]:
        exports = {"train": {"mix": "raw_top", "to": "webdataset", **options}}
        bench = Bench(tmp_path, real_experiment(pool, exports=exports))
        node = bench.graph.nodes["export_shards/train"]
        assert all(bench.graph.reads_same(node, dependency) for dependency in node.dependencies)
        return {dependency.asset for dependency in node.dependencies}

    with_raw = {"curated_mixes/raw_top", "raw_pool", "clip_scores/b32/raw"}
    assert reads(captions=["raw"]) == with_raw
    assert reads() == with_raw | {"synthetic_captions/blip2", "clip_scores/b32/blip2"}


def test_an_experiment_names_what_an_export_does_not_find(pool: Path) -> None:
    wrong = {"train": {"mix": "nix", "to": "webdataset", "captions": ["git"]}}
    with pytest.raises(ExperimentError, match=r"exports\.train\.mix: there is no 'nix'") as error:
        real_experiment(pool, exports=wrong)
    assert "exports.train.captions: there is no 'git'; known are blip2, raw" in str(error.value)
    twice = {n: {"mix": "each", "to": "subset", "folder": "s3://b/x"} for n in ("a", "b")}
    with pytest.raises(ExperimentError, match=r"exports\.b\.folder: exports\.a goes to s3://b/x"):
        real_experiment(pool, exports=twice)


def test_a_partition_has_another_version_where_its_pairs_or_captions_changed(
    pool: Path, tmp_path: Path
) -> None:
    project = real_setting(tmp_path / "data", pool, exports=EXPORTS, mixes=only("each"))
    node = Bench(tmp_path / "data", project.experiment).graph.nodes["export_shards/train"]
    (first, second, *_) = project.partitions
    versions = [node.compute(Step(partition)).data_version for partition in (first, second)]
    assert node.compute(Step(first)).data_version == versions[0]
    at = {"mix": "each", "partition": first}
    pairs = project.workspace.tables.read(CURATED_MIXES, **at).drop("mix", "partition")
    project.workspace.tables.replace(CURATED_MIXES, at, pairs[1:])
    assert node.compute(Step(first)).data_version != versions[0]
    assert node.compute(Step(second)).data_version == versions[1]
    project.workspace.tables.replace(CURATED_MIXES, at, pairs)
    # A caption that goes along is content too, though no pair uses it.
    table = project.workspace.tables
    captions = table.read(SYNTHETIC_CAPTIONS, source="blip2", partition=first)
    other = captions.with_columns(text=pl.col("text") + "!").drop("source", "partition")
    table.replace(SYNTHETIC_CAPTIONS, {"source": "blip2", "partition": first}, other)
    assert node.compute(Step(first)).data_version != versions[0]
