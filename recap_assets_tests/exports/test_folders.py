"""What an export does to the folder that it goes to."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fsspec.core import url_to_fs

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.exports.checksums import check_folder
from recap_assets.exports.once import export_once
from recap_assets.exports.shard_list import read_shard_list
from recap_assets.graph.project import Project
from recap_assets.specs.exports import parse_export
from recap_assets.storage.folders import Folder, FolderError
from recap_assets_tests.exports.exported_pools import (
    exported,
    only,
    pairs_of,
    real_setting,
    samples_in,
)
from recap_assets_tests.storage.s3 import environment, moto_server


def test_what_is_in_the_way_is_not_written_over(project: Project, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(FolderError, match=r"not empty \(thesis\.tex"):
        exported(project, tmp_path, "paper", "webdataset")
    assert (tmp_path / "thesis.tex").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_another_export_is_replaced_only_when_that_is_asked_for(
    project: Project, tmp_path: Path
) -> None:
    exported(project, tmp_path, "paper", "webdataset")
    with pytest.raises(FolderError, match="another export"):
        exported(project, tmp_path, "each", "webdataset")
    spec = {"mix": "each", "to": "subset", "folder": str(tmp_path)}
    export_once(project, parse_export(spec), replace=True)
    assert not list(tmp_path.glob("*.tar"))
    assert check_folder(Folder(str(tmp_path))).problems == {}


def test_a_shard_that_is_there_is_not_written_again_and_a_changed_mix_writes_what_changed(
    pool: Path, tmp_path: Path
) -> None:
    project = real_setting(tmp_path / "data", pool, mixes=only("raw_top"))
    out = tmp_path / "out"
    exported(project, out, "raw_top", "webdataset", samples_per_shard=5)
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    exported(project, out, "raw_top", "webdataset", samples_per_shard=5)
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")} == before
    # Without the last partition's pairs the first shards stay and the surplus goes.
    last = list(project.partitions)[-1]
    pairs = pairs_of(project, "raw_top").filter(pl.col("partition") == last)
    at = {"mix": "raw_top", "partition": last}
    project.workspace.tables.replace(CURATED_MIXES, at, pairs.drop("mix", "partition")[:0])
    exported(project, out, "raw_top", "webdataset", samples_per_shard=5)
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    assert 0 < len(after) < len(before)
    same = [name for name in after if after[name] == before[name]]
    assert len(same) >= len(after) - 1
    assert check_folder(Folder(str(out))).problems == {}


def test_an_image_that_changed_under_the_index_is_left_out_with_its_reason(
    pool: Path, tmp_path: Path
) -> None:
    own = tmp_path / "pool"
    shutil.copytree(pool, own)
    project = real_setting(tmp_path / "data", own, mixes=only("each"))
    rows = project.workspace.tables.read(RAW_POOL).filter(pl.col("shard") == 0)
    pairs = pairs_of(project, "each").filter(pl.col("shard") == 0)
    row = rows.filter((pl.col("uid") == pairs["uid"][0]) & (pl.col("image_format") != "GIF")).row(
        0, named=True
    )
    with (own / "00000000.tar").open("r+b") as file:
        file.seek(row["offset"] + row["size"] // 2)
        file.write(b"damage")
    done = exported(project, tmp_path / "out", "each", "webdataset")
    gone = pairs.filter(pl.col("uid") == row["uid"]).height
    assert done.written.left_out["image_changed"] == gone > 0
    uids = {json.loads(sample["json"])["uid"] for sample in samples_in(tmp_path / "out")}
    assert row["uid"].hex() not in uids
    ids = sum(len(np.load(p)) for p in (tmp_path / "out").rglob("sample_ids.npy"))
    assert ids == done.written.n_samples


def test_a_pool_shard_that_is_gone_is_an_error_and_not_a_smaller_export(
    pool: Path, tmp_path: Path
) -> None:
    own = tmp_path / "pool"
    shutil.copytree(pool, own)
    project = real_setting(tmp_path / "data", own, mixes=only("each"))
    (own / "00000001.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"00000001\.tar"):
        exported(project, tmp_path / "out", "each", "webdataset")
    assert not (tmp_path / "out" / "checksums.json").exists()


def test_it_goes_to_a_bucket_as_to_a_folder(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(project, tmp_path, "paper", "webdataset")
    with moto_server() as endpoint:
        for name, value in environment(endpoint).items():
            monkeypatch.setenv(name, value)
        bucket = url_to_fs("s3://exports", use_listings_cache=False)[0]
        bucket.mkdir("exports")
        exported(project, "s3://exports/a/b", "paper", "webdataset")
        there = Folder("s3://exports/a/b")
        names = Folder(str(tmp_path)).names()
        assert there.names() == names
        assert all((tmp_path / name).read_bytes() == there.read(name) for name in names)
        # What was finished is known again there, and damage to it is found.
        tar = names[0]
        bucket.pipe_file(f"exports/a/b/{tar}", b"damage")
        assert set(check_folder(there).problems) == {tar}
        exported(project, "s3://exports/a/b", "paper", "webdataset")
        assert check_folder(there).problems == {}
        assert read_shard_list(there).shards[0].url == "s3://exports/a/b/00000000.tar"
        bucket.clear_instance_cache()
