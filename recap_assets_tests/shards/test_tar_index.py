import io
import tarfile
from pathlib import Path

import fsspec
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.shards.files import LocalFile, open_range_file
from recap_assets.shards.tar_index import TarIndex, group_members, index_tar, split_name
from recap_assets_tests.shards.building import sample, tar_of


class Bytes:
    """A range file in memory that counts the bytes it gives."""

    readahead = 512

    def __init__(self, data: bytes) -> None:
        self.data, self.size, self.given = data, len(data), 0

    def read(self, offset: int, length: int) -> bytes:
        found = self.data[offset : offset + length]
        self.given += len(found)
        return found

    def read_many(self, ranges):
        return [self.read(*place) for place in ranges]

    def close(self) -> None:
        pass


def indexed(data: bytes) -> TarIndex:
    return index_tar(Bytes(data))


def contents(data: bytes) -> list[tuple[str, bytes]]:
    return [(m.name, data[m.offset : m.offset + m.size]) for m in indexed(data).members]


MEMBERS = [("a.jpg", b"x" * 700), ("a.txt", b""), ("dir/b.jpg", b"y" * 512), ("dir/b.txt", b"t")]


@pytest.mark.parametrize(
    "tar_format", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]
)
def test_members_are_what_tarfile_reads(tar_format):
    members = [*MEMBERS, ("deep/" * 40 + "long.jpg", b"long"), ("späße/é.jpg", b"name")]
    if tar_format == tarfile.USTAR_FORMAT:
        members[-2] = ("deep/" * 20 + "x" * 90 + ".jpg", b"prefix")
    data = tar_of(members, tar_format)
    assert contents(data) == members
    assert indexed(data).end == "complete"


def test_large_members_are_skipped_and_not_read():
    file = Bytes(tar_of([(f"{i}.jpg", bytes(100_000)) for i in range(10)]))
    assert len(index_tar(file).members) == 10
    assert file.given < 20_000


def test_links_folders_and_devices_are_no_members():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"bad{kind.decode()}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("good.jpg")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    assert contents(data.getvalue()) == [("good.jpg", b"abc")]


def test_pax_size_and_path_override_the_header():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("short.jpg")
        info.size, info.pax_headers = 5, {"size": "5", "path": "from/pax.jpg", "comment": "no"}
        tar.addfile(info, io.BytesIO(b"hello"))
        info = tarfile.TarInfo("next.jpg")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"ab"))
    assert contents(data.getvalue()) == [("from/pax.jpg", b"hello"), ("next.jpg", b"ab")]


@given(cut=st.integers(0, 7 * 512 + 1024))
@settings(max_examples=200)
def test_a_cut_tar_gives_its_whole_members(cut):
    data = tar_of(MEMBERS)[: 7 * 512 + 1024]
    full = indexed(data).members
    index = indexed(data[:cut])
    assert index.members == [m for m in full if m.offset + m.size <= cut]
    if index.end == "truncated" and index.cut_member:
        assert index.cut_member == full[len(index.members)].name


def test_the_end_says_how_the_tar_ends():
    data = tar_of(MEMBERS)
    end = indexed(data).end_offset
    assert indexed(data[:end]).end == "no_end_mark"
    assert indexed(data[: end + 100]).end == "truncated"
    assert indexed(data[:700]).cut_member == "a.jpg"
    assert indexed(b"").end == "no_end_mark"
    assert indexed(bytes(1024)).end == "complete"
    assert indexed(b"<html>not a tar</html>" * 100).end == "bad_header"


def test_a_bad_checksum_stops_with_what_came_before():
    data = bytearray(tar_of(MEMBERS))
    at = indexed(bytes(data)).members[2].offset - 512
    data[at] ^= 1
    index = indexed(bytes(data))
    assert [m.name for m in index.members] == ["a.jpg", "a.txt"]
    assert (index.end, index.end_offset) == ("bad_header", at)


def test_old_signed_checksums_are_understood():
    data = bytearray(tar_of([("é.jpg", b"x")], tarfile.GNU_FORMAT))
    signed = sum(b - 256 if b > 127 else b for b in data[:148] + data[156:512]) + 8 * 32
    data[148:156] = b"%06o\0 " % signed
    assert [m.name for m in indexed(bytes(data)).members] == ["é.jpg"]


def with_size(field: bytes) -> bytes:
    block = bytearray(tar_of([("a.jpg", b"x")]))
    block[124:136] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


@pytest.mark.parametrize(
    ("field", "end"),
    [
        (b"77777777777\0", "truncated"),  # 8 GiB in a small file
        (b"\x80" + b"\x7f" * 11, "truncated"),  # 2 to the 87
        (b"\xff" * 12, "bad_header"),  # negative, base 256
        (b"-0000000001\0", "bad_header"),
        (b"0_0\0        ", "bad_header"),
        (b"00000000009\0", "bad_header"),
    ],
)
def test_hostile_sizes_are_refused(field, end):
    index = indexed(with_size(field))
    assert (index.members, index.end) == ([], end)


@pytest.mark.parametrize(
    "pax",
    [b"999 path=x\n", b"path=x\n", b"-5 path=x\n", b"11 size=-5\n", b"12 nothing\n"],
)
def test_hostile_pax_headers_are_refused(pax):
    header = tarfile.TarInfo("pax")
    header.size, header.type = len(pax), tarfile.XHDTYPE
    data = header.tobuf(tarfile.USTAR_FORMAT) + pax.ljust(512, b"\0") + tar_of([("a.jpg", b"x")])
    assert indexed(data).end == "bad_header"


def test_a_huge_pax_header_is_not_read():
    header = tarfile.TarInfo("pax")
    header.size, header.type = 2**30, tarfile.XHDTYPE
    file = Bytes(header.tobuf(tarfile.USTAR_FORMAT) + bytes(4096))
    file.size = 2**31
    assert index_tar(file).end == "bad_header"
    assert file.given <= 4096


@given(st.binary(max_size=3000))
@settings(max_examples=200)
def test_any_bytes_give_an_index(data):
    assert all(m.offset + m.size <= len(data) for m in indexed(data).members)


@given(at=st.integers(0, 5000), value=st.integers(0, 255))
@settings(max_examples=300)
def test_any_changed_byte_gives_members_within_the_file(at, value):
    data = bytearray(tar_of(MEMBERS, tarfile.PAX_FORMAT))
    data[at % len(data)] = value
    assert all(0 <= m.offset <= m.offset + m.size <= len(data) for m in indexed(data).members)


def test_the_name_splits_at_the_first_dot_of_the_base_name():
    assert split_name("a.dir/b.seg.PNG") == ("a.dir/b", "seg.png")
    assert split_name("../../up.jpg") == ("../../up", "jpg")
    assert [split_name(n) for n in ("README", ".hidden.jpg", "d/.x", "__meta.x__", "")] == [
        None
    ] * 5


def test_samples_are_grouped_wherever_their_members_lie():
    data = tar_of([("a.jpg", b"1"), ("b.jpg", b"2"), ("b.txt", b"3"), ("a.txt", b"4")])
    samples = group_members(indexed(data).members)
    assert [(s.key, list(s.members)) for s in samples] == [
        ("a", ["jpg", "txt"]),
        ("b", ["jpg", "txt"]),
    ]


def test_repeated_members_form_samples_of_their_own():
    names = ["a.jpg", "a.txt", "a.jpg", "a.json", "a.txt", "a.jpg"]
    samples = group_members(indexed(tar_of([(n, b"") for n in names])).members)
    assert [(s.key, s.repeat, sorted(s.members)) for s in samples] == [
        ("a", 0, ["jpg", "json", "txt"]),
        ("a", 1, ["jpg", "txt"]),
        ("a", 2, ["jpg"]),
    ]


def test_clean_tars_read_as_webdataset_reads_them(tmp_path: Path):
    members = [m for i in range(20) for m in sample(f"part.{i % 3}/{i:05d}", i)]
    path = tmp_path / "0.tar"
    path.write_bytes(tar_of([*members, ("x.a.B", b"two dots"), ("no_dot", b"")]))
    file = LocalFile(path)
    ours = {
        s.key: {e: file.read(m.offset, m.size) for e, m in s.members.items()}
        for s in group_members(index_tar(file).members)
        if s.has_key
    }
    file.close()
    theirs = {
        s["__key__"]: {e: v for e, v in s.items() if not e.startswith("__")}
        for s in webdataset.WebDataset(str(path), shardshuffle=False)
    }
    assert ours == theirs


def test_a_remote_tar_is_indexed_by_range_reads():
    data = tar_of([m for i in range(5) for m in sample(f"{i}", i)])
    with fsspec.open("memory://tars/0.tar", "wb") as file:
        file.write(data)
    assert index_tar(open_range_file("memory://tars/0.tar")) == indexed(data)
