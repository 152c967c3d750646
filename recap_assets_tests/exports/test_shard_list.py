"""What a trainer is told: the weights of shards, and URLs that open_clip expands to the list."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from open_clip_train.data import expand_urls

from recap_assets.exports.shard_list import ExportedShard, ShardList, read_shard_list
from recap_assets.storage.folders import Folder, FolderError


def listed(*shards: tuple[str, int, float]) -> ShardList:
    return ShardList(tuple(ExportedShard(f"/b/{name}.tar", n, w) for name, n, w in shards))


def options(shards: ShardList) -> dict[str, str]:
    words = shards.open_clip_arguments()
    return {a: b for a, b in pairwise(words) if a.startswith("--")}


def test_shards_of_one_size_are_one_pattern_without_weights() -> None:
    shards = listed(*((f"x/{i:08d}", 10, 1.0) for i in range(12)))
    found = options(shards)
    assert found["--train-data"] == "/b/x/{00000000..00000011}.tar"
    assert found["--train-num-samples"] == "120"
    assert "--train-data-upsampling-factors" not in found
    assert expand_urls(found["--train-data"])[0] == [shard.url for shard in shards.shards]


def test_each_run_that_is_drawn_alike_has_its_factor() -> None:
    shards = listed(
        ("w1/00000000", 10, 1.0), ("w1/00000001", 10, 1.0), ("w1/00000002", 4, 1.0),
        ("w3/00000000", 10, 3.0), ("w3/00000002", 10, 3.0),
    )  # fmt: skip
    found = options(shards)
    urls, factors = expand_urls(found["--train-data"], found["--train-data-upsampling-factors"])
    assert urls == [shard.url for shard in shards.shards]
    assert factors == [10, 10, 4, 30, 30] == list(shards.draw_weights)


def test_a_bucket_is_read_through_a_pipe_as_datacomp_does() -> None:
    shards = ShardList(tuple(ExportedShard(f"s3://b/{i:08d}.tar", 5, 1.0) for i in range(2)))
    urls = expand_urls(options(shards)["--train-data"])[0]
    assert urls == [f"pipe:aws s3 cp s3://b/{i:08d}.tar -" for i in range(2)]


def test_empty_shards_are_not_listed_and_what_is_no_export_is_refused(tmp_path: Path) -> None:
    rows = [{"shard": f"{i:08d}.tar", "samples": i, "weight": 1.0} for i in range(3)]
    (tmp_path / "shards.json").write_text(json.dumps({"shards": rows}))
    found = read_shard_list(Folder(str(tmp_path)))
    assert [shard.url for shard in found.shards] == [
        f"{tmp_path}/{name}" for name in ("00000001.tar", "00000002.tar")
    ]
    (tmp_path / "shards.json").write_text('{"shards": [1]}')
    with pytest.raises(FolderError, match="damaged"):
        read_shard_list(Folder(str(tmp_path)))
    with pytest.raises(FolderError, match="no finished export"):
        read_shard_list(Folder(str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    "row",
    [
        {"shard": "pipe:touch x", "samples": 1, "weight": 1.0},
        {"shard": "../other/00000000.tar", "samples": 1, "weight": 1.0},
        {"shard": "00000000.tar::pipe:touch x", "samples": 1, "weight": 1.0},
        {"shard": "{00000000..99999999}.tar", "samples": 1, "weight": 1.0},
        {"shard": "$(touch x).tar", "samples": 1, "weight": 1.0},
        {"shard": "00000000.tar\n", "samples": 1, "weight": 1.0},
        {"shard": 7, "samples": 1, "weight": 1.0},
        {"shard": "00000000.tar", "samples": 10**12, "weight": 1.0},
        {"shard": "00000000.tar", "samples": 1, "weight": float("inf")},
    ],
)
def test_a_changed_list_cannot_name_what_is_no_shard_of_the_export(
    row: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "shards.json").write_text(json.dumps({"shards": [row]}))
    with pytest.raises(FolderError, match="damaged"):
        read_shard_list(Folder(str(tmp_path)))


@pytest.mark.parametrize(
    "url",
    [
        "pipe:touch x",
        "s3://b/a;touch x/0.tar",
        "s3://b/$(touch x)/0.tar",
        "https://x/0.tar",
        "gs://b/'|touch x'.tar",
        "/a{b}/0.tar",
        "/a::b/0.tar",
        "relative/0.tar",
    ],
)
def test_the_trainer_is_handed_no_url_that_runs_a_program_or_is_a_pattern(url: str) -> None:
    with pytest.raises(FolderError, match="cannot be passed to open_clip's trainer"):
        ShardList((ExportedShard(url, 1, 1.0),)).open_clip_arguments()
