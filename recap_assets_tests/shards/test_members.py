"""Every member of a tar is in some row, whatever its name and kind."""

import io
import tarfile

import pytest

from recap_assets.shards.indexing import index_shard
from recap_assets.shards.tar_index import MAX_ZEROS, Member, group_members
from recap_assets_tests.shards.building import (
    encoded,
    jpeg,
    picture,
    pool_at,
    sample,
    shard_at,
    tar_of,
)


def rows_of(tmp_path, data: bytes) -> dict[str, tuple[str | None, str | None]]:
    """Text and reason by key."""
    frame = index_shard(shard_at(tmp_path / "0.tar", data), pool_at(tmp_path))
    assert frame.height == frame.select("uid", "key").n_unique()
    return {k: (t, r) for k, t, r in frame.select("key", "text", "reject_reason").iter_rows()}


def keys(*names: str) -> list[tuple[str, list[str]]]:
    members = [Member(name, i, 1) for i, name in enumerate(names)]
    return [(sample.key, list(sample.members)) for sample in group_members(members)]


def test_images_with_dots_in_their_names_are_samples_by_the_last_dot(tmp_path):
    members = []
    for i in range(20):
        members += [(f"IMG.{i:04d}.jpg", jpeg(i)), (f"IMG.{i:04d}.txt", b"photo %d" % i)]
    found = rows_of(tmp_path, tar_of(members))
    assert found == {f"IMG.{i:04d}": (f"photo {i}", None) for i in range(20)}


def test_the_first_dot_counts_where_that_gives_the_key_an_image():
    assert keys("a.jpg", "a.seg.png", "a.x.json") == [("a", ["jpg", "seg.png", "x.json"])]
    assert keys("a.jpg", "a.2.jpg", "a.2.txt") == [("a.2", ["jpg", "txt"]), ("a", ["jpg"])]
    assert keys("a.B.jpg", "a.b.jpg", "a.txt") == [
        ("a.B", ["jpg"]),
        ("a.b", ["jpg"]),
        ("a", ["txt"]),
    ]
    assert keys("d.e/a.b.c.JPG") == [("d.e/a.b.c", ["jpg"])]
    assert keys("a.cls.txt", "a.jpg.txt") == [("a", ["cls.txt", "jpg.txt"])]


def test_further_images_of_a_key_are_rows_with_their_names(tmp_path):
    png = encoded(picture(1), "PNG")
    members = [("a.jpg", jpeg()), ("a.png", png), ("a.mask.png", png), ("a.txt", b"one")]
    assert rows_of(tmp_path, tar_of(members)) == {
        "a": ("one", None),
        "a.png": (None, "extra_image"),
        "a.mask.png": (None, "extra_image"),
    }


def test_names_without_stem_or_extension_are_rows(tmp_path):
    members = [(".jpg", jpeg()), ("README", b"x"), ("d/._a.jpg", b"x"), *sample("a")]
    found = rows_of(tmp_path, tar_of(members))
    assert {key: reason for key, (_, reason) in found.items()} == {
        ".jpg": "no_key", "README": "no_key", "d/._a.jpg": "no_key", "a": None,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, b"S"])
def test_a_link_or_device_in_an_images_place_is_a_row_without_image(tmp_path, kind):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("b.jpg", "folder.jpg"):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.jpg"
            if name == "folder.jpg":
                info.type = tarfile.DIRTYPE
            tar.addfile(info)
    found = rows_of(tmp_path, data.getvalue())
    assert found == {"b": (None, "missing_image")}


def test_a_text_that_is_a_link_is_told(tmp_path):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        image = jpeg()
        info = tarfile.TarInfo("a.jpg")
        info.size = len(image)
        tar.addfile(info, io.BytesIO(image))
        info = tarfile.TarInfo("a.txt")
        info.type, info.linkname = tarfile.LNKTYPE, "b.txt"
        tar.addfile(info)
    frame = index_shard(shard_at(tmp_path / "0.tar", data.getvalue()), pool_at(tmp_path))
    assert frame.select("text", "text_note", "status").row(0) == (None, "text_is_link", "ok")


def test_names_that_are_not_utf8_do_not_become_one(tmp_path):
    data = tar_of([("X.jpg", jpeg(1)), ("Y.jpg", jpeg(2))])
    for old, new in ((b"X", b"\xff"), (b"Y", b"\xfe")):
        start = data.index(old + b".jpg")
        header = bytearray(data[start : start + 512])
        header[0:1] = new
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        data = data[:start] + bytes(header) + data[start + 512 :]
    assert rows_of(tmp_path, data) == {r"\xff": (None, None), r"\xfe": (None, None)}


def test_what_follows_an_end_mark_is_read(tmp_path):
    data = tar_of(sample("a", 1)) + tar_of(sample("b", 2)) + bytes(512)
    found = rows_of(tmp_path, data + tar_of(sample("c", 3)))
    assert found == dict.fromkeys("abc", ("a text", None))


@pytest.mark.parametrize("rest", [b"no tar" * 200, bytes(512) + b"x" * 600])
def test_what_follows_an_end_mark_and_is_no_tar_is_told(tmp_path, rest):
    found = rows_of(tmp_path, tar_of(sample("a", 1)) + rest)
    assert len(found) == 2
    assert {reason for _, reason in found.values()} == {None, "bad_tar_header"}


def test_zeros_without_end_are_passed_over_within_a_bound(tmp_path):
    path = tmp_path / "long.tar"
    path.write_bytes(tar_of(sample("a", 1)))
    with path.open("r+b") as file:
        file.truncate(8 * MAX_ZEROS)
    shard = shard_at(tmp_path / "0.tar", b"")
    path.replace(tmp_path / "0.tar")
    reasons = index_shard(shard, pool_at(tmp_path))["reject_reason"].to_list()
    assert sorted(map(str, reasons)) == ["None", "bad_tar_header"]


@pytest.mark.parametrize("ending", ["jpe", "jfif", "JPG"])
def test_other_endings_of_jpeg_are_read(tmp_path, ending):
    assert rows_of(tmp_path, tar_of([(f"a.{ending}", jpeg())])) == {"a": (None, None)}


def test_formats_that_are_not_read_are_named_by_content_or_ending(tmp_path):
    members = [
        ("a.bmp", encoded(picture(), "BMP")),
        ("b.tif", encoded(picture(), "TIFF")),
        ("c.jpg", encoded(picture(), "BMP")),
        ("d.tif", jpeg(4)),
    ]
    found = rows_of(tmp_path, tar_of(members))
    assert {key: reason for key, (_, reason) in found.items()} == {
        "a": "unread_format: bmp", "b": "unread_format: tiff", "c": "unread_format: bmp", "d": None,
    }  # fmt: skip
