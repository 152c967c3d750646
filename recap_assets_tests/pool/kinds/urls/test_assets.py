"""A pool from a list of URLs: fetched from a real server, then read like any other."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recap_assets.artefacts.pool import DOWNLOAD_FAILURES, RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.assembly.accounts import accounts
from recap_assets.assembly.leaving import leaving
from recap_assets.graph.project import Project
from recap_assets.pool.kinds.urls import shards
from recap_assets.shards.files import PoolError
from recap_assets.shards.reading import iterate_members
from recap_assets_tests.pool.kinds.urls.fetched import QUICK
from recap_assets_tests.pool.kinds.urls.web import Web, served
from recap_assets_tests.shards.building import jpeg, uid_of
from recap_assets_tests.tiny import Bench, Memory, tiny_experiment

BOXES = pl.List(pl.List(pl.Float64))


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with served() as web:
        yield web


def rows_of(web: Web, seeds: list[int], path: str = "image") -> pl.DataFrame:
    """Rows as DataComp's metadata has them."""
    return pl.DataFrame(
        {
            "uid": [uid_of(seed) for seed in seeds],
            "url": [web.of(f"{path}/{seed}") for seed in seeds],
            "text": [f"text {seed}\nüber zwei Zeilen" for seed in seeds],
            "original_width": [96] * len(seeds),
            "original_height": [72] * len(seeds),
            "clip_l14_similarity_score": [0.2] * len(seeds),
            "face_bboxes": [[[0.1, 0.1, 0.4, 0.4]] if seed % 2 else [] for seed in seeds],
            "sha256": [hashlib.sha256(jpeg(seed)).hexdigest() for seed in seeds],
        },
        schema_overrides={"face_bboxes": BOXES},
    )


class Pool:
    """A list of two files and the bench that fetches it."""

    def __init__(self, folder: Path, memory: Memory) -> None:
        self.folder, self.memory = folder, memory

    def write(self, name: str, rows: pl.DataFrame) -> None:
        rows.write_parquet(self.folder / "lists" / f"{name}.parquet")

    def bench(self, **changes: object) -> Bench:
        """A new look at the list."""
        own = {"urls": str(self.folder / "lists"), "samples_per_shard": 4, **changes}
        pool = {**QUICK, "shards_per_partition": 2}
        experiment = tiny_experiment(pool={**pool, **own})
        bench = Bench(self.folder / "data", experiment, self.memory)
        bench.project.scan()
        return bench

    def built(self, **changes: object) -> tuple[Bench, list[tuple[str, str]]]:
        bench = self.bench(**changes)
        return bench, bench.build("pool")


@pytest.fixture(scope="module")
def built_once(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """The pool after its first build, which no test changes."""
    pool = Pool(tmp_path_factory.mktemp("pool"), Memory())
    (pool.folder / "lists").mkdir()
    pool.write("a", rows_of(web, list(range(1, 7))))
    pool.write("b", rows_of(web, [11, 12]).vstack(rows_of(web, [13], "gone")))
    _, computed = pool.built()
    assert computed == [
        ("downloaded_shards", "00000"), ("downloaded_shards", "00001"),
        ("raw_pool", "00000"), ("raw_pool", "00001"),
    ]  # fmt: skip
    return pool


@pytest.fixture
def pool(built_once: Pool, web: Web, tmp_path: Path) -> Pool:
    """A copy of the built pool; the server has been asked for nothing."""
    shutil.copytree(built_once.folder, tmp_path, dirs_exist_ok=True)
    web.asked.clear()
    web.pages.clear()
    return Pool(tmp_path, deepcopy(built_once.memory))


def failures(bench: Bench) -> dict[str, str]:
    rows = bench.project.workspace.tables.read(DOWNLOAD_FAILURES)
    pairs = rows.select(pl.col("uid").bin.encode("hex"), "reject_reason").iter_rows()
    return dict(pairs)


def raw_pool(bench: Bench) -> pl.DataFrame:
    return bench.project.workspace.tables.read(RAW_POOL).filter(is_usable())


def uids(frame: pl.DataFrame) -> set[str]:
    return set(frame["uid"].bin.encode("hex"))


def test_the_list_becomes_a_pool_and_what_is_dead_has_a_reason(pool: Pool, web: Web) -> None:
    bench, computed = pool.built()
    assert (computed, web.asked.total()) == ([], 0)
    rows = raw_pool(bench).sort("url")
    assert uids(rows) == {uid_of(seed) for seed in [*range(1, 7), 11, 12]}
    assert set(rows["text"]) == {f"text {s}\nüber zwei Zeilen" for s in [*range(1, 7), 11, 12]}
    assert failures(bench) == {uid_of(13): "http_404"}
    record = bench.memory.latest("downloaded_shards")["00001"]
    assert dict(record.rejected) == {"http_404": 1}
    account = next(a for a in accounts(bench.project) if a.what == "downloaded_shards")
    assert (account.n_all, account.n_usable, account.rejected) == (9, 8, {"http_404": 1})
    facts = bench.memory.facts_by_version["downloaded_shards", record.data_version]
    assert facts["dead_links_percent"] == pytest.approx(33.33)
    assert bench.build("pool") == []


def test_shards_have_datacomps_layout_and_keep_the_uids(pool: Pool) -> None:
    bench, _ = pool.built()
    folder = bench.project.workspace.downloads / "shards"
    names = [f"{n:08d}{e}" for n in range(3) for e in (".parquet", ".tar", "_stats.json")]
    assert sorted(path.name for path in folder.glob("[!.]*")) == sorted(names)
    stats = [json.loads((folder / f"{n:08d}_stats.json").read_text()) for n in range(3)]
    assert [(one["count"], one["successes"]) for one in stats] == [(4, 4), (2, 2), (3, 2)]
    for key, members in iterate_members(str(folder / "00000000.tar"), ("jpg", "txt", "json")):
        record = json.loads(members["json"])
        assert record["uid"] == key
        assert record["caption"] == members["txt"].decode()
        assert record["original_width"] == 96
        assert record["sha256"] == hashlib.sha256(jpeg(seed_of(record["url"]))).hexdigest()


def seed_of(url: str) -> int:
    return int(url.rpartition("/")[2])


@pytest.mark.long(reason="img2dataset in processes of its own")
def test_an_edit_of_the_list_fetches_what_is_new(pool: Pool, web: Web) -> None:
    changed = rows_of(web, [11, 12, 14]).with_columns(text=pl.lit("another text"))
    pool.write("b", changed)
    bench, computed = pool.built()
    # 14 is new and 13 is gone: the shard of 11 and 12 is written anew, nothing of it is fetched.
    assert web.asked == {"image/14": 1}
    assert {partition for _, partition in computed} == {"00001"}
    rows = raw_pool(bench)
    assert uids(rows) == {uid_of(seed) for seed in [*range(1, 7), 11, 12, 14]}
    assert rows.filter(pl.col("text") == "another text").height == 3
    assert failures(bench) == {}


def test_a_shard_without_rows_leaves(pool: Pool) -> None:
    (pool.folder / "lists" / "b.parquet").unlink()
    bench = pool.bench()
    found = {one.asset: one for one in leaving(bench.project, bench.graph)}
    assert found.keys() == {"downloaded_shards", "raw_pool", "download_failures"}
    for one in found.values():
        one.remove()
    assert not shards.tar_path(bench.project.workspace.downloads / "shards", 2).exists()
    assert uids(raw_pool(bench)) == {uid_of(seed) for seed in range(1, 7)}


@pytest.mark.long(reason="img2dataset in processes of its own")
def test_failed_urls_are_tried_again_where_it_is_asked_for(pool: Pool, web: Web) -> None:
    web.pages["gone/13"] = jpeg(13)
    assert pool.built()[1] == []
    untouched = shards.tar_path(pool.bench().project.workspace.downloads / "shards", 0)
    before = untouched.stat().st_mtime_ns
    bench, computed = pool.built(attempt=2)
    assert web.asked == {"gone/13": 1}
    assert untouched.stat().st_mtime_ns == before
    # Where nothing had failed the shards are as they were, so nothing after them is done again.
    assert ("raw_pool", "00000") not in computed
    assert failures(bench) == {}
    assert uid_of(13) in uids(raw_pool(bench))


@pytest.mark.long(reason="img2dataset in processes of its own")
def test_another_size_fetches_everything_again(pool: Pool, web: Web) -> None:
    bench, _ = pool.built(image_size=48)
    assert web.asked["image/1"] == 1
    assert set(raw_pool(bench)["width"]) == {48}


@pytest.mark.long(reason="img2dataset in processes of its own")
@pytest.mark.parametrize("what", ["no statistics", "no tar", "a shorter tar"])
def test_a_lost_or_half_written_shard_is_made_again(pool: Pool, web: Web, what: str) -> None:
    bench, _ = pool.built()
    folder = bench.project.workspace.downloads / "shards"
    version = bench.memory.latest("downloaded_shards")["00000"].data_version
    whole = (folder / "00000000.tar").read_bytes()
    (folder / "00000000.tar").write_bytes(whole[:3000])
    if what != "a shorter tar":
        gone = {"no statistics": "00000000_stats.json", "no tar": "00000000.tar"}[what]
        (folder / gone).unlink()
    del pool.memory.records["downloaded_shards"]["00000"]
    bench, computed = pool.built()
    assert computed == [("downloaded_shards", "00000")]
    assert (folder / "00000000.tar").read_bytes() == whole
    assert bench.memory.latest("downloaded_shards")["00000"].data_version == version
    n_asked = [web.asked[f"image/{seed}"] for seed in range(1, 7)]
    assert n_asked == [1, 1, 1, 1, 0, 0]


@pytest.mark.long(reason="img2dataset in processes of its own")
def test_a_replacement_that_was_interrupted_is_gone_on_with(pool: Pool) -> None:
    bench, _ = pool.built()
    folder = bench.project.workspace.downloads / "shards"
    old = {e: (folder / f"00000000{e}").read_bytes() for e in (".tar", ".parquet", "_stats.json")}
    # All new files were written, and one of them renamed.
    (folder / ".00000000.parquet.new").write_bytes(old[".parquet"])
    new_stats = json.dumps({**json.loads(old["_stats.json"]), "new": 1}).encode()
    (folder / ".00000000_stats.json.new").write_bytes(new_stats)
    shards.recover(folder, 0)
    assert (folder / "00000000_stats.json").read_bytes() == new_stats
    # Not all were written: the old ones stand.
    (folder / ".00000000.tar.new").write_bytes(b"half")
    shards.recover(folder, 0)
    assert (folder / "00000000.tar").read_bytes() == old[".tar"]
    assert not list(folder.glob(".0*"))


@pytest.mark.long(reason="img2dataset in processes of its own")
def test_shards_of_a_receipt_are_not_fetched_again(pool: Pool, web: Web, tmp_path: Path) -> None:
    bench, _ = pool.built()
    shards_then = list(bench.project.shards.values())
    again = Bench(tmp_path / "again", bench.project.experiment)
    again.project.freeze(shards_then)
    again.build("pool")
    assert web.asked.total() == 0
    for asset in ("downloaded_shards", "raw_pool"):
        versions = [
            {key: record.data_version for key, record in memory.latest(asset).items()}
            for memory in (pool.memory, again.memory)
        ]
        assert versions[0] == versions[1]


def test_a_folder_of_shards_has_one_writer(pool: Pool, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    shards.own_folder(folder, "another pool")
    with pytest.raises(PoolError, match="is written by the pool of another pool"):
        pool.built(shards=str(folder))
    assert [path.name for path in folder.iterdir()] == [".pool"]


def test_datacomps_metadata_is_both_list_and_metadata(pool: Pool) -> None:
    bench, _ = pool.built(metadata=str(pool.folder / "lists"))
    assert uids(raw_pool(bench)) == {uid_of(seed) for seed in [*range(1, 7), 11, 12]}


def test_the_partitions_are_known_before_anything_is_fetched(pool: Pool) -> None:
    project: Project = pool.bench().project
    assert list(project.partitions) == ["00000", "00001"]
    assert [len(part) for part in project.partitions.values()] == [2, 1]


@pytest.mark.long(reason="img2dataset in processes of its own")
def test_real_images_arrive_as_they_were_listed(
    shared_data: Path, tmp_path: Path, web: Web
) -> None:
    source = shared_data / "pools" / "webalt"
    listed = pl.read_parquet(sorted((source / "metadata").glob("*.parquet"))[0]).head(40)
    tar = sorted((source / "shards").glob("*.tar"))[0]
    with tarfile.open(tar) as shard:
        members = {m.name: shard.extractfile(m).read() for m in shard if m.isfile()}  # type: ignore[union-attr]
    by_uid = {
        json.loads(content)["uid"]: name.rpartition(".")[0]
        for name, content in members.items()
        if name.endswith(".json")
    }
    for uid in listed["uid"]:
        key = by_uid.get(uid)
        for ending in ("jpg", "png", "gif", "webp"):
            if key and f"{key}.{ending}" in members:
                web.pages[f"real/{uid}"] = members[f"{key}.{ending}"]
    (tmp_path / "lists").mkdir()
    urls = [web.of(f"real/{uid}") for uid in listed["uid"]]
    listed.with_columns(url=pl.Series(urls)).write_parquet(tmp_path / "lists" / "0.parquet")
    own = {"urls": str(tmp_path / "lists"), "image_size": 512, "timeout": 10, "deadline": 60}
    bench = Bench(tmp_path / "data", tiny_experiment(pool={**QUICK, **own}))
    bench.build("pool")
    rows = raw_pool(bench)
    dead = failures(bench)
    assert uids(rows) | dead.keys() == set(listed["uid"])
    assert rows.height + len(dead) == listed.height
    assert set(dead.values()) <= {"http_404", "not_an_image"}, "OpenCV reads no GIF"
    sides = np.maximum(rows["width"].to_numpy(), rows["height"].to_numpy())
    assert sides.max() <= 512
    assert set(rows["image_format"]) == {"JPEG"}
    joined = rows.with_columns(pl.col("uid").bin.encode("hex")).join(listed, on="uid", suffix="_l")
    assert (joined["text"].fill_null("") == joined["text_l"].fill_null("").str.strip_chars()).all()
