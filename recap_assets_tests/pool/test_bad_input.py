"""Odd and broken input: a clear error or a counted rejection, nothing half-written."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.artefacts.table import STATUS_OK, STATUS_REJECTED
from recap_assets.graph import shardwise
from recap_assets.mixes.thresholds import EmptyPopulationError
from recap_assets.shards.manifest import PoolError
from recap_assets_tests.tiny import EXPERIMENT, Bench, Memory, tiny_experiment


def jpeg(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 10 + shade).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def write_shard(
    folder: Path,
    number: int,
    samples: Sequence[tuple[str | None, bytes, str | None]],
    **metadata: object,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / f"{number:08d}.tar", "w") as tar:
        for i, (uid, image, text) in enumerate(samples):
            key = f"{number:05d}{i:04d}"
            members = {"jpg": image, "json": json.dumps({"uid": uid, **metadata}).encode()}
            if text is not None:
                members["txt"] = text.encode()
            for extension, content in members.items():
                info = tarfile.TarInfo(f"{key}.{extension}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def uid(number: int) -> str:
    return f"{number:032x}"


def real_pool(folder: Path, **changes: object) -> dict[str, object]:
    return {"pool": {"kind": "webdataset", "shards": str(folder), **changes}}


def bench_of(tmp_path: Path, **changes: object) -> Bench:
    return Bench(tmp_path / "data", tiny_experiment(**changes))


def test_an_empty_pool_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    with pytest.raises(PoolError, match="pool"):
        _ = bench_of(tmp_path, **real_pool(tmp_path / "pool")).project.shards


def test_a_pool_with_one_sample_runs_to_the_report(tmp_path: Path) -> None:
    write_shard(tmp_path / "pool", 0, [(uid(1), jpeg(1), "a red boat")])
    bench = bench_of(tmp_path, **real_pool(tmp_path / "pool"))
    bench.build(draws=True)
    mixes = bench.project.workspace.tables.read(CURATED_MIXES)
    assert mixes.group_by("mix").len().sort("mix").rows() == [
        ("mixed", 1),
        ("raw", 1),
        ("raw_top30", 1),
    ]
    assert bench.project.workspace.report.exists()


def test_two_samples_with_one_uid_the_later_one_is_set_aside_and_counted(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    write_shard(pool, 0, [(uid(1), jpeg(1), "a red boat"), (uid(1), jpeg(2), "a blue boat")])
    write_shard(pool, 1, [(uid(1), jpeg(3), "a green boat"), (uid(2), jpeg(4), "a tree")])
    bench = bench_of(tmp_path, **real_pool(pool, shards_per_partition=2))
    bench.build("pool")
    rows = bench.project.workspace.tables.read(RAW_POOL)
    rejected = rows.filter(pl.col("status") == STATUS_REJECTED)
    assert rejected["reject_reason"].to_list() == ["duplicate_uid", "duplicate_uid"]
    usable = rows.filter(pl.col("status") == STATUS_OK)
    assert usable["text"].sort().to_list() == ["a red boat", "a tree"]
    (node,) = [node for node in bench.graph.nodes.values() if node.key == "raw_pool"]
    assert all(check.evaluate(["00000"]).passed for check in node.checks)


PAIRS = [(image, f"caption {k} of image {image}") for image in range(4) for k in range(5)]


def usable_of(bench: Bench) -> list[tuple[str, str]]:
    rows = bench.project.workspace.tables.read(RAW_POOL).filter(pl.col("status") == STATUS_OK)
    return sorted(rows.select(pl.col("uid").bin.encode("hex"), "text").rows())


@pytest.mark.parametrize("n_shards", [1, 2, 5])
@pytest.mark.parametrize("shards_per_partition", [1, 2])
def test_repeats_are_set_aside_alike_in_any_sharding(
    tmp_path: Path, n_shards: int, shards_per_partition: int
) -> None:
    images = [jpeg(image) for image in range(4)]
    for shard in range(n_shards):
        part = PAIRS[shard * 20 // n_shards : (shard + 1) * 20 // n_shards]
        samples = [(None, images[image], text) for image, text in part]
        write_shard(tmp_path / "pool", shard, samples)
    pool = real_pool(tmp_path / "pool", shards_per_partition=shards_per_partition)
    bench = bench_of(tmp_path, **pool)
    bench.build("pool")
    assert [text for _, text in sorted(usable_of(bench), key=lambda row: row[1])] == [
        f"caption 0 of image {image}" for image in range(4)
    ]
    (check,) = [c for c in bench.graph.nodes["raw_pool"].checks if c.name == "uids_are_unique"]
    assert check.evaluate(list(bench.project.partitions)).passed


def test_shards_that_come_later_are_compared_and_the_earlier_ones_stay(tmp_path: Path) -> None:
    write_shard(tmp_path / "pool", 0, [(uid(1), jpeg(1), "first"), (uid(2), jpeg(2), "second")])
    bench = bench_of(tmp_path, **real_pool(tmp_path / "pool"))
    bench.build("pool")
    write_shard(tmp_path / "pool", 1, [(uid(1), jpeg(3), "again"), (uid(3), jpeg(4), "third")])
    bench.project.scan()
    assert bench.build("pool") == [("raw_pool", "00001")] * 2
    assert [text for _, text in usable_of(bench)] == ["first", "second", "third"]
    # Once the earlier one goes, the later one stands.
    write_shard(tmp_path / "pool", 0, [(uid(2), jpeg(2), "second")])
    bench.project.scan()
    assert bench.build("pool") == [("raw_pool", "00000"), ("raw_pool", "00001")]
    assert [text for _, text in usable_of(bench)] == ["again", "second", "third"]


@pytest.mark.long(reason="a whole build for one input")
def test_a_broken_image_is_set_aside_and_the_rest_is_captioned(tmp_path: Path) -> None:
    samples = [(uid(i), jpeg(i), "a boat") for i in range(1, 4)]
    samples[1] = (uid(2), jpeg(2)[:200], "half a boat")
    samples.append((uid(4), jpeg(4), None))
    write_shard(tmp_path / "pool", 0, samples)
    bench = bench_of(tmp_path, **real_pool(tmp_path / "pool"))
    bench.build("world", "pool", "models", "captions", "scores")
    tables = bench.project.workspace.tables
    raw = tables.read(RAW_POOL)
    assert raw.height == 4
    assert raw.filter(pl.col("status") == STATUS_REJECTED)["uid"].to_list() == [
        bytes.fromhex(uid(2))
    ]
    assert tables.read(SYNTHETIC_CAPTIONS)["uid"].n_unique() == 3
    unscored = tables.read(CLIP_SCORES, source="raw").filter(pl.col("score").is_null())
    assert unscored["uid"].to_list() == [bytes.fromhex(uid(4))]


def test_a_source_without_any_text_cannot_be_ranked_and_says_so(tmp_path: Path) -> None:
    write_shard(tmp_path / "pool", 0, [(uid(i), jpeg(i), None) for i in range(3)])
    bench = bench_of(tmp_path, **real_pool(tmp_path / "pool"))
    with pytest.raises(EmptyPopulationError, match="raw"):
        bench.build("world", "pool", "models", "captions", "scores", "mixes")


def test_a_mix_without_any_pair_trains_nothing_and_says_so(tmp_path: Path) -> None:
    write_shard(tmp_path / "pool", 0, [(uid(i), jpeg(i), "a boat") for i in range(3)])
    mixes = {"none": [{"use": "raw", "where": {"at_least": 1.0}}]}
    changes = {**real_pool(tmp_path / "pool"), "mixes": mixes, "report": {}}
    with pytest.raises(ValueError, match=r"mixes\.none: no pair was selected"):
        bench_of(tmp_path, **changes).build()


def test_the_whole_fraction_keeps_every_scored_sample(tmp_path: Path) -> None:
    texts = ["a boat", "a tree", None, "a house"]
    write_shard(tmp_path / "pool", 0, [(uid(i), jpeg(i), text) for i, text in enumerate(texts)])
    mixes = {"all": [{"use": "raw", "where": {"top": 1.0}}]}
    bench = bench_of(tmp_path, **real_pool(tmp_path / "pool"), mixes=mixes, report={})
    bench.build("world", "pool", "models", "scores", "mixes")
    assert bench.project.workspace.tables.read(CURATED_MIXES).height == 3


def test_a_shard_that_leaves_and_one_that_comes(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    for number in range(2):
        write_shard(pool, number, [(uid(10 * number + i), jpeg(i), "a boat") for i in range(3)])
    bench = bench_of(tmp_path, **real_pool(pool))
    bench.build("pool")
    (pool / "00000001.tar").unlink()
    write_shard(pool, 2, [(uid(20 + i), jpeg(i), "a tree") for i in range(3)])
    bench.project.scan()
    # The number of the shard that left is never given again.
    assert sorted(bench.project.shards) == [0, 2]
    assert bench.build("pool") == [("raw_pool", "00002")]


def test_a_crash_in_a_long_partition_loses_one_shard_of_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = tmp_path / "pool"
    for number in range(3):
        write_shard(pool, number, [(uid(10 * number + i), jpeg(i), "a boat") for i in range(2)])
    memory = Memory()
    bench = Bench(
        tmp_path / "data", tiny_experiment(**real_pool(pool, shards_per_partition=3)), memory
    )
    bench.build("world", "pool", "models")
    real, shards = shardwise.iterate_images, []

    def dies_at_the_third(rows, *args, **options):
        if len(shards) == 2:
            raise KeyboardInterrupt
        shards.append(rows["shard"][0])
        return real(rows, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shardwise, "iterate_images", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            bench.build("captions")
    assert bench.project.workspace.tables.read(SYNTHETIC_CAPTIONS).is_empty()

    def counted(rows, *args, **options):
        shards.append(rows["shard"][0])
        return real(rows, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shardwise, "iterate_images", counted)
        bench.build("captions")
    assert shards == [0, 1, 2]
    assert bench.project.workspace.tables.read(SYNTHETIC_CAPTIONS).height == 6
    assert not list((bench.project.workspace.root / "scratch").rglob("*.parquet"))


@pytest.mark.long(reason="a whole build for one input")
def test_a_pool_in_a_folder_with_a_table_of_texts(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for i in range(3):
        (tmp_path / "images" / f"{i}.jpg").write_bytes(jpeg(i))
    rows = [{"image": f"{i}.jpg", "text": f"photo of boat {i}"} for i in range(4)]
    pl.DataFrame(rows).write_csv(tmp_path / "texts.csv")
    pool = {
        "kind": "folder",
        "images": str(tmp_path / "images"),
        "texts": str(tmp_path / "texts.csv"),
    }
    bench = bench_of(tmp_path, pool=pool, mixes={"raw": EXPERIMENT["mixes"]["raw"]}, report={})
    bench.build()
    raw = bench.project.workspace.tables.read(RAW_POOL)
    assert raw.filter(pl.col("status") == STATUS_OK).height == 3
    assert raw.filter(pl.col("status") == STATUS_REJECTED)["reject_reason"].to_list() == [
        "missing_image"
    ]
