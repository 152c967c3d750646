import threading
import time
from pathlib import Path

import fsspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.pool.kinds.folder import FolderPool
from recap_assets.pool.kinds.webdataset import WebDatasetPool
from recap_assets.shards import reading
from recap_assets.shards.files import merge_ranges, open_range_file
from recap_assets.shards.images import decode
from recap_assets.shards.indexing import index_shard
from recap_assets.shards.manifest import assign, list_shards
from recap_assets.shards.reading import (
    ImageReader,
    in_background,
    iterate_corpus,
    iterate_images,
    iterate_members,
)
from recap_assets.training.corpora.kinds.webdataset import WebDatasetCorpus
from recap_assets_tests.shards.building import LIMITS, jpeg, pool_at, sample, shard_at, tar_of


def built(where: str, shards: int = 3, each: int = 4) -> tuple[WebDatasetPool, pl.DataFrame, dict]:
    for number in range(shards):
        members = [m for i in range(each) for m in sample(f"{i}", number * each + i)]
        with fsspec.open(f"{where}/{number}.tar", "wb") as file:
            file.write(tar_of(members))
    pool = pool_at(where)
    found = assign(list_shards(pool), [])
    rows = pl.concat([index_shard(shard, pool) for shard in found])
    return pool, rows, {shard.number: shard for shard in found}


def seeds_of(rows: pl.DataFrame) -> list[int]:
    return [shard * 4 + int(key) for shard, key in rows.select("shard", "key").iter_rows()]


@pytest.mark.parametrize("place", ["local", "memory"])
@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_images_come_in_the_order_of_the_rows(tmp_path, place, batch_size):
    where = str(tmp_path) if place == "local" else f"memory://order{batch_size}"
    pool, rows, shards = built(where)
    rows = rows.sample(fraction=1, shuffle=True, seed=1)
    seen: list[pl.DataFrame] = []
    for batch, images in iterate_images(rows, shards, pool, batch_size=batch_size):
        seen.append(batch)
        for seed, image in zip(seeds_of(batch), images, strict=True):
            assert np.array_equal(image, decode(jpeg(seed), LIMITS))
    assert pl.concat(seen).equals(rows)
    assert {batch.height for batch in seen[:-1]} <= {batch_size}


def test_what_cannot_be_read_any_more_is_none(tmp_path):
    pool, rows, shards = built(str(tmp_path))
    rows = rows.sort("shard", "key")
    data = bytearray((tmp_path / "0.tar").read_bytes())
    at, size = rows.row(1, named=True)["offset"], rows.row(1, named=True)["size"]
    data[at : at + size] = bytes(size)
    (tmp_path / "0.tar").write_bytes(data)
    whole = (tmp_path / "1.tar").read_bytes()
    (tmp_path / "1.tar").write_bytes(whole[: rows.row(6, named=True)["offset"] + 10])
    (tmp_path / "2.tar").unlink()
    rows = rows.with_columns(offset=pl.when(pl.int_range(pl.len()) != 3).then("offset"))
    ((_, images),) = iterate_images(rows, shards, pool, batch_size=50)
    there = [image is not None for image in images]
    assert there == [True, False, True, False] + [True, True, False, False] + [False] * 4


def test_another_image_in_the_old_place_is_not_taken_for_it(tmp_path):
    pool, rows, shards = built(str(tmp_path), shards=1)
    row = rows.filter(key="0")
    other = jpeg(50)
    data = bytearray((tmp_path / "0.tar").read_bytes())
    at = row["offset"][0]
    data[at : at + len(other)] = other
    (tmp_path / "0.tar").write_bytes(data)
    row = row.with_columns(size=pl.lit(len(other), pl.Int64))
    reader = ImageReader(shards, pool)
    assert reader.read(row) == [None]
    assert np.array_equal(reader.read(row.drop("sha256"))[0], decode(other, LIMITS))
    reader.close()


def test_a_folder_pool_is_read_by_path_and_never_outside(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(jpeg(1))
    (tmp_path / "b.jpg").write_bytes(jpeg(2))
    pool = FolderPool(kind="folder", images=str(tmp_path / "images"), texts="unused.csv")
    rows = pl.DataFrame(
        {"shard": 0, "key": ["a.jpg", "../b.jpg", "none.jpg"], "offset": 0, "size": 1}
    )
    ((_, images),) = iterate_images(rows, {}, pool, batch_size=3)
    assert np.array_equal(images[0], decode(jpeg(1), LIMITS))
    assert images[1:] == [None, None]


def test_open_shards_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("recap_assets.shards.tar_images.MAX_OPEN_SHARDS", 2)
    pool, rows, shards = built(str(tmp_path), shards=4)
    reader = ImageReader(shards, pool)
    for part in (rows, rows[::-1]):
        assert all(image is not None for image in reader.read(part))
    assert len(reader._images._open) == 2
    reader.close()
    assert not reader._images._open


def test_min_side_reduces(tmp_path):
    pool, rows, shards = built(str(tmp_path), shards=1)
    ((_, images),) = iterate_images(rows, shards, pool, batch_size=9, min_side=18)
    assert {image.shape for image in images if image is not None} == {(18, 24, 3)}


def test_only_so_many_batches_are_read_ahead():
    made: list[int] = []
    waiting = in_background(lambda: (made.append(i) or i for i in range(100)), ahead=2)
    assert next(waiting) == 0
    time.sleep(0.3)
    assert len(made) <= 4
    waiting.close()
    assert len(made) <= 5


def test_closing_ends_the_thread_and_frees_the_files(tmp_path):
    pool, rows, shards = built(str(tmp_path))
    batches = iterate_images(rows, shards, pool, batch_size=1)
    next(batches)
    batches.close()
    assert "recap-read-ahead" not in {thread.name for thread in threading.enumerate()}


def test_an_error_in_the_background_is_raised_in_its_place():
    def failing():
        yield 1
        raise KeyError("lost")

    items = in_background(failing, ahead=3)
    assert next(items) == 1
    with pytest.raises(KeyError, match="lost"):
        next(items)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 60)), max_size=20), st.integers(0, 50)
)
def test_merged_ranges_cover_every_range_once(ranges, gap):
    merged = merge_ranges(ranges, gap)
    assert sorted(i for _, members in merged for i in members) == list(range(len(ranges)))
    for (start, length), members in merged:
        for i in members:
            assert start <= ranges[i][0] <= ranges[i][0] + ranges[i][1] <= start + length
    ends = [start + length for (start, length), _ in merged]
    starts = [start for (start, _), _ in merged]
    assert all(start - end > gap for end, start in zip(ends, starts[1:], strict=False))


@pytest.mark.parametrize("url", ["local", "memory://ranges.bin"])
def test_ranges_beyond_the_end_give_none(tmp_path, url):
    url = str(tmp_path / "ranges.bin") if url == "local" else url
    with fsspec.open(url, "wb") as file:
        file.write(bytes(range(100)))
    opened = open_range_file(url)
    wanted = [(90, 10), (90, 11), (0, 3), (2, 2), (200, 5), (50, 0)]
    found = [bytes(range(90, 100)), None, b"\0\1\2", b"\2\3", None, b""]
    assert opened.read_many(wanted) == found
    assert opened.read_many([]) == []
    assert [opened.read(*place) for place in wanted[1::3]] == [found[0], b""]
    opened.close()


def corpus_at(folder: Path, members: list[tuple[str, bytes]]) -> list[str]:
    (folder / "0.tar").write_bytes(tar_of(members))
    return [str(folder / "0.tar")]


def test_a_corpus_gives_a_caption_a_line(tmp_path):
    members = [
        ("b.txt", b" one \n\ntwo\r\n"), ("a.jpg", jpeg(0)), ("b.jpg", jpeg(1)), ("a.txt", b"three"),
        ("c.jpg", jpeg(2)), ("d.txt", b"x"), ("e.jpg", b"junk"), ("e.txt", b"x"),
    ]  # fmt: skip
    rejected: list[tuple[str, str]] = []
    corpus = corpus_at(tmp_path, members)
    found = list(iterate_corpus(corpus, on_reject=lambda *what: rejected.append(what)))
    assert [(s.key, s.captions) for s in found] == [("b", ["one", "two"]), ("a", ["three"])]
    assert np.array_equal(found[0].image, decode(jpeg(1), LIMITS))
    assert rejected == [("c", "missing_text"), ("d", "missing_image"), ("e", "unknown_format")]
    declared = WebDatasetCorpus(kind="webdataset", shards=str(tmp_path))
    assert [s.key for s in declared.read("corpus", None)] == ["b", "a"]


def test_samples_are_read_across_windows(tmp_path):
    path = tmp_path / "0.tar"
    path.write_bytes(
        tar_of([(f"{i}.{e}", f"{i}{e}".encode()) for e in ("jpg", "cls") for i in range(150)])
    )
    found = list(iterate_members(str(path), ("cls",)))
    assert found == [(str(i), {"cls": f"{i}cls".encode()}) for i in range(150)]
    assert all(not members for _, members in iterate_members(str(path), ("cls",), max_bytes=3))


def test_the_real_corpus_has_five_captions_an_image(shared_data):
    tars = sorted(str(path) for path in (shared_data / "caption_corpus/flickr8k").glob("*.tar"))
    found = [len(s.captions) for s in iterate_corpus(tars, min_side=32)]
    assert found == [5] * 500


def test_a_batch_of_large_images_comes_in_parts_with_the_same_images(tmp_path, monkeypatch):
    members = [member for i in range(5) for member in sample(f"{i:03d}", i)]
    shard = shard_at(tmp_path / "0.tar", tar_of(members))
    pool = pool_at(tmp_path)
    rows = index_shard(shard, pool).select("shard", "uid", "key", "offset", "size", "sha256")
    (whole,) = list(iterate_images(rows, {0: shard}, pool, batch_size=5))
    monkeypatch.setattr(reading, "DECODED_BYTES", 2 * 96 * 72 * 3)
    parts = list(iterate_images(rows, {0: shard}, pool, batch_size=5))
    assert [part.height for part, _ in parts] == [2, 2, 1]
    assert pl.concat([part for part, _ in parts]).equals(rows)
    images = [image for _, part in parts for image in part]
    assert all(map(np.array_equal, whole[1], images))


def test_captions_of_a_corpus_are_read_in_their_encoding_or_told(tmp_path):
    texts = {"a": "ein Café\nzwei".encode("cp1252"), "b": b"\xff\xfe\x00", "c": b"\xff" * 9}
    members = [
        (f"{key}.{e}", d) for key, t in texts.items() for e, d in (("jpg", jpeg()), ("txt", t))
    ]
    (tmp_path / "0.tar").write_bytes(tar_of(members))
    rejected: dict[str, str] = {}
    found = list(iterate_corpus([str(tmp_path / "0.tar")], LIMITS, on_reject=rejected.__setitem__))
    assert [(one.key, one.captions) for one in found] == [("a", ["ein Café", "zwei"])]
    assert rejected == {"b": "text_not_utf8", "c": "text_not_utf8"}
