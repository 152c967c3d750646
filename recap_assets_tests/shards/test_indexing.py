import hashlib
import io
import json
import tarfile
from pathlib import Path

import fsspec
import polars as pl
import pytest

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.pool.kinds.folder import FolderPool
from recap_assets.shards.images import perceptual_hash_of
from recap_assets.shards.indexing import REJECT_REASONS, index_shard
from recap_assets.shards.manifest import Shard, assign, list_shards
from recap_assets.shards.metadata import Metadata, load_metadata
from recap_assets.shards.sample_texts import clean_text
from recap_assets.specs.pool import ImageLimits
from recap_assets_tests.shards.building import (
    LIMITS,
    hamming,
    jpeg,
    pool_at,
    sample,
    shard_at,
    tar_of,
    uid_of,
)


def index_of(
    folder: Path,
    members: list[tuple[str, bytes]] | bytes,
    metadata: Metadata | None = None,
    **options: object,
) -> pl.DataFrame:
    data = members if isinstance(members, bytes) else tar_of(members)
    return index_shard(
        shard_at(folder / "00000000.tar", data), pool_at(folder, **options), metadata
    )


def reasons(frame: pl.DataFrame) -> dict[str, str | None]:
    return dict(frame.select("key", "reject_reason").sort("key").iter_rows())


def row(frame: pl.DataFrame, key: str) -> dict[str, object]:
    return frame.row(by_predicate=pl.col("key") == key, named=True)


def metadata_of(folder: Path, stem: str = "00000000", **columns: list[object]) -> Metadata:
    path = folder / "metadata"
    path.mkdir(exist_ok=True)
    pl.DataFrame(columns).write_parquet(path / f"{stem}.parquet")
    return load_metadata(str(path))


def test_a_good_sample_fills_every_column(tmp_path):
    frame = index_of(tmp_path, sample("000", seed=3, text=" some\0 text\n"))
    expected = {name: dtype for name, dtype in RAW_POOL.schema.items() if name != "partition"}
    assert frame.schema == expected
    found = frame.row(0, named=True)
    data = (tmp_path / "00000000.tar").read_bytes()
    image = jpeg(3)
    assert data[found["offset"] : found["offset"] + found["size"]] == image
    assert found == {
        "shard": 0, "uid": bytes.fromhex(uid_of(3)), "key": "000", "offset": 512,
        "size": len(image), "image_format": "JPEG", "width": 96, "height": 72,
        "original_width": 640, "original_height": None, "text": "some text", "text_note": None,
        "url": "https://example.org/3.jpg", "sha256": hashlib.sha256(image).digest(),
        "original_sha256": None, "perceptual_hash": perceptual_hash_of(image, LIMITS),
        "status": "ok", "reject_reason": None,
    }  # fmt: skip


def test_the_hash_of_the_downloaded_image_is_the_jsons_else_the_metadatas(tmp_path):
    one, other = (hashlib.sha256(word).hexdigest() for word in (b"one", b"other"))
    metadata = metadata_of(
        tmp_path, uid=[uid_of(i) for i in range(4)], sha256=[other, other, "short", None]
    )
    members = []
    for i, told in enumerate([one, None, "no digits", 17]):
        facts = json.dumps({"uid": uid_of(i), "sha256": told}).encode()
        members += [(f"{i}.jpg", jpeg(i)), (f"{i}.json", facts)]
    frame = index_of(tmp_path, members, metadata).sort("key")
    assert frame["original_sha256"].to_list() == [
        bytes.fromhex(one), bytes.fromhex(other), None, None
    ]  # fmt: skip
    assert frame["status"].unique().to_list() == ["ok"]


def test_rows_are_sorted_and_do_not_depend_on_the_order_in_the_tar(tmp_path):
    members = [m for i in range(6) for m in sample(f"{i}", i)]
    frame = index_of(tmp_path, members)
    other = index_of(tmp_path, members[::-1])
    assert frame["uid"].is_sorted()
    assert frame.drop("offset").equals(other.drop("offset"))
    assert frame["status"].unique().to_list() == ["ok"]


def test_bad_images_are_set_aside_with_their_reason(tmp_path):
    image = jpeg()
    members = [
        ("empty.jpg", b""), ("cut.jpg", image[: len(image) // 2]), ("html.jpg", b"<html>"),
        ("large.jpg", image + bytes(20_000)), ("good.jpg", image), ("small.png", jpeg(1, (8, 8))),
    ]  # fmt: skip
    limits = ImageLimits(max_bytes=20_000, min_side=10)
    frame = index_of(tmp_path, members, limits=limits)
    assert reasons(frame) == {
        "empty": "zero_bytes",
        "cut": "truncated_image",
        "html": "unknown_format",
        "large": "too_large",
        "small": "too_small",
        "good": None,
    }
    assert (frame["status"] == "ok").to_list() == frame["reject_reason"].is_null().to_list()
    assert row(frame, "cut")["perceptual_hash"] is None
    assert row(frame, "cut")["sha256"] is not None


def test_a_sample_without_image_is_set_aside_and_one_without_text_is_kept(tmp_path):
    frame = index_of(tmp_path, [*sample("a")[1:], *sample("b", 1)[::2], *sample("c", 2, text="  ")])
    assert reasons(frame) == {"a": "missing_image", "b": None, "c": None}
    assert row(frame, "a")["uid"] == bytes.fromhex(uid_of(0))
    assert frame.filter(pl.col("key") != "a")["text"].to_list() == [None, None]


def test_members_that_do_not_lie_together_form_one_sample(tmp_path):
    a, b = sample("a", 0, "of a"), sample("b", 1, "of b")
    frame = index_of(tmp_path, [a[0], b[2], b[0], a[2], b[1], a[1]])
    assert frame["status"].to_list() == ["ok", "ok"]
    assert row(frame, "a")["text"] == "of a"
    assert row(frame, "b")["uid"] == bytes.fromhex(uid_of(1))


def test_the_first_of_repeated_keys_stands(tmp_path):
    frame = index_of(
        tmp_path, [*sample("a", 0, "first"), *sample("a", 1, "second"), *sample("b", 2)]
    )
    assert sorted(frame.select("key", "reject_reason").rows(), key=str) == [
        ("a", "duplicate_key"),
        ("a", None),
        ("b", None),
    ]
    good = frame.filter((pl.col("key") == "a") & (pl.col("status") == "ok"))
    assert good["text"].to_list() == ["first"]
    assert frame.select("uid", "key").is_unique().all()


def test_a_shard_written_twice_gives_each_sample_twice_and_unique_rows(tmp_path):
    members = [m for i in range(3) for m in sample(f"{i}", i)]
    frame = index_of(tmp_path, [*members, *members, ("0.txt", b"third")])
    counts = frame["reject_reason"].value_counts().rows()
    assert sorted(counts, key=str) == [("duplicate_key", 4), (None, 3)]
    assert frame.select("uid", "key").is_unique().all()
    assert set(frame.filter(status="ok")["uid"]) == {bytes.fromhex(uid_of(i)) for i in range(3)}


def test_the_first_good_sample_of_a_uid_stands(tmp_path):
    cut = [("0.jpg", jpeg()[:-50]), *sample("0", 5)[1:]]
    members = [*cut, *sample("1", 5), *sample("2", 5), *sample("3", 6)]
    frame = index_of(tmp_path, members)
    assert reasons(frame) == {"0": "truncated_image", "1": None, "2": "duplicate_uid", "3": None}
    assert frame.filter(pl.col("key") != "3")["uid"].n_unique() == 1


def test_without_json_the_uid_is_made_from_the_image(tmp_path):
    image = jpeg(4)
    frame = index_of(
        tmp_path, [("a.jpg", image), ("b.jpg", image), ("c.jpg", jpeg(5)), ("c.json", b"{}")]
    )
    assert row(frame, "a")["uid"] == hashlib.sha256(image).digest()[:16]
    assert row(frame, "c")["uid"] == hashlib.sha256(jpeg(5)).digest()[:16]
    assert reasons(frame) == {"a": None, "b": "duplicate_uid", "c": None}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "bad_json"),
        (b"[]", "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b"\xff\xfe\xfd", "bad_json"),
        (b'{"x": ' + b"9" * 5000 + b"}", "bad_json"),
        (b" " * (2**20 + 1), "bad_json"),
        (b'{"uid": "xyz"}', "bad_uid"),
        (b'{"uid": 5}', "bad_uid"),
        (b'{"uid": "' + b" " * 32 + b'"}', "bad_uid"),
        (b'{"uid": null}', None),
    ],
)
def test_a_json_that_hides_the_uid_sets_the_sample_aside(tmp_path, content, reason):
    frame = index_of(tmp_path, [("a.jpg", jpeg()), ("a.json", content)])
    assert reasons(frame) == {"a": reason}


def test_a_bad_json_does_no_harm_where_the_metadata_knows_the_key(tmp_path):
    metadata = metadata_of(tmp_path, uid=[uid_of(9)], key=["a"], text=["known"])
    frame = index_of(tmp_path, [("a.jpg", jpeg()), ("a.json", b"{")], metadata)
    found = row(frame, "a")
    assert (found["uid"], found["text"], found["status"]) == (
        bytes.fromhex(uid_of(9)),
        "known",
        "ok",
    )


def test_hostile_json_values_become_nulls(tmp_path):
    facts = {
        "uid": uid_of(1), "url": ["x"], "caption": "lone \ud800 half\0", "original_width": 10**30,
        "original_height": True,
    }  # fmt: skip
    members = [("a.jpg", jpeg()), ("a.json", json.dumps(facts).encode())]
    found = row(index_of(tmp_path, members), "a")
    assert found["text"] == "lone ? half"
    assert [found[n] for n in ("url", "original_width", "original_height")] == [None] * 3


def test_text_comes_from_the_first_that_has_it(tmp_path):
    facts = json.dumps({"uid": uid_of(0), "caption": "of json"}).encode()
    metadata = metadata_of(tmp_path, uid=[uid_of(0), uid_of(1)], text=["of metadata"] * 2)
    image = ("a.jpg", jpeg())
    member = ("a.txt", b"of txt")
    assert (
        row(index_of(tmp_path, [image, member, ("a.json", facts)], metadata), "a")["text"]
        == "of txt"
    )
    assert row(index_of(tmp_path, [image, ("a.json", facts)], metadata), "a")["text"] == "of json"
    bare = ("a.json", json.dumps({"uid": uid_of(0)}).encode())
    found = row(index_of(tmp_path, [image, ("a.txt", b" "), bare], metadata), "a")
    assert found["text"] == "of metadata"


def test_texts_are_cleaned():
    assert clean_text("\ufeff a\0b \n") == "ab"
    assert clean_text("\0 \t") is None
    assert clean_text(None) is None


def test_a_text_in_no_known_encoding_is_none_and_told(tmp_path):
    frame = index_of(tmp_path, [("a.jpg", jpeg()), ("a.txt", b"caf\xe9 \xf0\x9f")])
    assert frame.select("text", "text_note", "status").row(0) == (None, "text_not_utf8", "ok")


@pytest.mark.parametrize(
    ("cut_in", "expected"),
    [
        ("2.jpg", {"0": None, "1": None, "2": "truncated_tar"}),
        ("1.txt", {"0": None, "1": "truncated_tar"}),
        ("1.json", {"0": None, "1": "truncated_tar"}),
    ],
)
def test_a_cut_tar_gives_its_readable_part(tmp_path, cut_in, expected):
    data = tar_of([m for i in range(3) for m in sample(f"{i}", i)])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        at = tar.getmember(cut_in).offset_data
    assert reasons(index_of(tmp_path, data[: at + 3])) == expected


def test_a_cut_between_members_shows_in_the_sample_that_lacks_some(tmp_path):
    data = tar_of([m for i in range(3) for m in sample(f"{i}", i)])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        header, whole = (tar.getmember(name).offset for name in ("2.txt", "2.jpg"))
    assert reasons(index_of(tmp_path, data[:header])) == {
        "0": None,
        "1": None,
        "2": "truncated_tar",
    }
    assert reasons(index_of(tmp_path, data[:whole])) == {"0": None, "1": None}
    rows = reasons(index_of(tmp_path, data[: whole + 100]))
    assert rows == {"0": None, "1": None, f"@{whole}": "truncated_tar"}


def test_a_tar_that_cannot_be_followed_says_where(tmp_path):
    data = bytearray(tar_of([m for i in range(3) for m in sample(f"{i}", i)]))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        at = tar.getmember("2.jpg").offset
    data[at + 1] ^= 255
    assert reasons(index_of(tmp_path, bytes(data))) == {
        "0": None,
        "1": None,
        f"@{at}": "bad_tar_header",
    }
    assert reasons(index_of(tmp_path, b"<html></html>" * 100)) == {"@0": "bad_tar_header"}


def test_an_empty_tar_has_no_rows(tmp_path):
    frame = index_of(tmp_path, [])
    assert frame.is_empty()
    assert frame.columns == [name for name in RAW_POOL.schema if name != "partition"]


def test_names_that_lead_elsewhere_are_names_only(tmp_path):
    folder = tmp_path / "deep/er"
    folder.mkdir(parents=True)
    members = [("../../evil.jpg", jpeg(0)), ("/etc/evil.jpg", jpeg(1)), ("a/../b.jpg", jpeg(2))]
    frame = index_of(folder, members)
    assert sorted(frame["key"]) == ["../../evil", "/etc/evil", "a/../b"]
    assert frame["status"].unique().to_list() == ["ok"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["00000000.tar", "deep", "er"]


def test_both_sides_of_the_metadata_are_checked(tmp_path):
    members = [m for i in range(3) for m in sample(f"{i}", i)]
    metadata = metadata_of(
        tmp_path,
        uid=[uid_of(i) for i in (1, 2, 7)],
        text=["x", "y", " gone\0 "],
        url=["u"] * 3,
        original_width=[1, 2, 3],
    )
    frame = index_of(tmp_path, members, metadata)
    gone = bytes.fromhex(uid_of(7))
    assert reasons(frame) == {
        "0": "image_without_metadata",
        "1": None,
        "2": None,
        gone.hex(): "metadata_without_image",
    }
    found = row(frame, gone.hex())
    assert (found["uid"], found["text"], found["original_width"]) == (gone, "gone", 3)
    assert (found["status"], found["offset"], found["sha256"]) == ("rejected", None, None)


def test_metadata_cut_otherwise_than_the_shards_is_not_missed(tmp_path):
    metadata_of(tmp_path, "00000000", uid=[uid_of(i) for i in (0, 8, 9)])
    metadata = metadata_of(tmp_path, "00000001", uid=[uid_of(1)])
    frame = index_of(tmp_path, [*sample("0", 0), *sample("1", 1)], metadata)
    assert reasons(frame) == {"0": None, "1": None}


def test_the_same_rows_come_from_a_remote_shard(tmp_path):
    members = [m for i in range(3) for m in sample(f"{i}", i)]
    local = index_of(tmp_path, members)
    with fsspec.open("memory://remote/00000000.tar", "wb") as file:
        file.write(tar_of(members))
    pool = pool_at("memory://remote")
    (shard,) = assign(list_shards(pool), [])
    assert index_shard(shard, pool).equals(local)


def test_a_shard_that_is_gone_is_an_error(tmp_path):
    shard = Shard("0", str(tmp_path / "0.tar"), 1, "v", 0)
    with pytest.raises(FileNotFoundError):
        index_shard(shard, pool_at(tmp_path))


def folder_index(folder: Path, **options: object) -> pl.DataFrame:
    pool = FolderPool.model_validate({
        "kind": "folder", "images": str(folder / "images"), "texts": str(folder / "t.jsonl"),
        **options,
    })  # fmt: skip
    shards = assign(list_shards(pool), [])
    return pl.concat([index_shard(shard, pool) for shard in shards])


def test_a_folder_of_images_is_indexed_like_a_shard(tmp_path):
    (tmp_path / "images/sub").mkdir(parents=True)
    (tmp_path / "images/sub/a.jpg").write_bytes(jpeg(0))
    (tmp_path / "images/b.jpg").write_bytes(jpeg(1)[:-9])
    (tmp_path / "secret.jpg").write_bytes(jpeg(2))
    (tmp_path / "images/link.jpg").symlink_to(tmp_path / "secret.jpg")
    images = ["sub/a.jpg", "b.jpg", "none.jpg", None, "../secret.jpg", "/etc/hosts", "link.jpg",
              "sub/a.jpg", "sub"]  # fmt: skip
    rows = [{"image": image, "text": f" text {i} "} for i, image in enumerate(images)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    frame = folder_index(tmp_path)
    found = [(k, r) for k, r in frame.select("key", "reject_reason").sort("key").rows()]
    assert sorted(found, key=str) == sorted([
        ("sub/a.jpg", None), ("sub/a.jpg", "duplicate_key"), ("b.jpg", "truncated_image"),
        ("none.jpg", "missing_image"), ("@row3", "missing_image"), ("sub", "missing_image"),
        ("../secret.jpg", "outside_folder"), ("/etc/hosts", "outside_folder"),
        ("link.jpg", "outside_folder"),
    ], key=str)  # fmt: skip
    good = frame.filter(status="ok").row(0, named=True)
    assert good["uid"] == hashlib.sha256(jpeg(0)).digest()[:16]
    assert (good["offset"], good["size"], good["text"]) == (0, len(jpeg(0)), "text 0")


@pytest.mark.parametrize(
    ("name", "header", "good", "damaged"),
    [
        ("t.csv", "image,text\n", "{i}.jpg,text {i}\n", "3.jpg,text,3\n"),
        ("t.tsv", "image\ttext\n", "{i}.jpg\ttext {i}\n", "3.jpg\n"),
        ("t.jsonl", "", '{{"image": "{i}.jpg", "text": "text {i}"}}\n', '{"image": "3.jpg"\n'),
    ],
)
def test_a_damaged_row_of_a_folders_table_has_a_reason_of_its_own(
    tmp_path, name, header, good, damaged
):
    (tmp_path / "images").mkdir()
    for i in range(2):
        (tmp_path / f"images/{i}.jpg").write_bytes(jpeg(i))
    rows = [good.format(i=i) for i in (0, 1, 2)]
    (tmp_path / name).write_text("".join([header, rows[0], damaged, *rows[1:]]))
    frame = folder_index(tmp_path, texts=str(tmp_path / name)).sort("key", descending=True)
    assert dict(frame.select("key", "reject_reason").rows()) == {
        "0.jpg": None, "1.jpg": None, "2.jpg": "missing_image", "@row3": "damaged_row",
    }  # fmt: skip
    assert frame["text"].to_list() == [None, "text 2", "text 1", "text 0"]


def test_a_folder_pool_may_bring_its_uids(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(3):
        (tmp_path / f"images/{i}.jpg").write_bytes(jpeg(i))
    uids = [uid_of(0).upper(), "short", uid_of(0)]
    rows = [{"image": f"{i}.jpg", "text": "", "id": uid} for i, uid in enumerate(uids)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    frame = folder_index(tmp_path, uid_column="id")
    assert reasons(frame) == {"0.jpg": None, "1.jpg": "bad_uid", "2.jpg": "duplicate_uid"}
    assert row(frame, "0.jpg")["uid"] == bytes.fromhex(uid_of(0))


@pytest.mark.parametrize(
    ("name", "samples", "formats"),
    [
        ("webalt", 1408, {"JPEG": 1210, "PNG": 174, "WEBP": 14, "GIF": 10}),
        ("flickr8k_web", 2000, {"JPEG": 2000}),
    ],
)
def test_real_pools_are_indexed_whole(shared_data, name, samples, formats):
    folder = shared_data / "pools" / name
    pool = pool_at(folder / "shards", metadata=str(folder / "metadata"))
    metadata = load_metadata(str(folder / "metadata"))
    shards = assign(list_shards(pool), [])
    frame = pl.concat([index_shard(shard, pool, metadata) for shard in shards])
    truth = pl.read_parquet(folder / "metadata/*.parquet").with_columns(
        uid=pl.col("uid").str.decode("hex"), sha256=pl.col("sha256").str.decode("hex")
    )
    assert frame["status"].value_counts().rows() == [("ok", samples)]
    assert dict(frame["image_format"].value_counts().rows()) == formats
    joined = frame.join(truth, on="uid", validate="1:1")
    assert joined.height == truth.height == samples
    assert (joined["sha256"] == joined["sha256_right"]).all()
    blank = pl.col("text_right").str.strip_chars()
    assert joined.filter(~pl.col("text").eq_missing(pl.when(blank != "").then(blank))).is_empty()
    assert set(frame["reject_reason"].drop_nulls()) <= REJECT_REASONS
    assert hamming(*frame["perceptual_hash"].head(2)) > 8
