"""Damage to an export is found, and a hostile list of checksums reads nothing outside."""

import json
import os
from pathlib import Path

import pytest

from recap_assets.exports.checksums import (
    CHECKSUMS,
    MARK,
    check_folder,
    checksums_of,
    take_folder,
)
from recap_assets.exports.shard_list import SHARDS, read_shard_list
from recap_assets.storage.folders import Folder, FolderError

OWNER = {"experiment": "e", "export": "x"}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(str(tmp_path / "out"))
    files = [folder.write(name, name.encode() * 100) for name in ("a.tar", "b/c.tar")]
    folder.write(CHECKSUMS, checksums_of(files))
    return folder


def test_a_whole_export_has_no_problem(folder: Folder) -> None:
    shares: list[float] = []
    found = check_folder(folder, shares.append)
    assert (found.n_checked, found.problems) == (2, {})
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_each_kind_of_damage_is_named(folder: Folder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    content = bytearray((out / "a.tar").read_bytes())
    content[37] ^= 1
    (out / "a.tar").write_bytes(content)
    (out / "b/c.tar").write_bytes(b"short")
    (out / "d.tar").write_bytes(b"")
    (out / ".e.tar.partial").write_bytes(b"")
    assert check_folder(folder).problems == {
        "a.tar": "other bytes than were written",
        "b/c.tar": "5 bytes, not 700",
        "d.tar": "not part of the export",
        ".e.tar.partial": "left by a kill",
    }
    (out / "a.tar").unlink()
    assert check_folder(folder).problems["a.tar"] == "missing"


def test_what_is_no_finished_export_is_told_so(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no finished export"):
        check_folder(Folder(str(tmp_path)))
    (tmp_path / "out" / CHECKSUMS).write_text("[1]")
    with pytest.raises(FolderError, match="damaged"):
        check_folder(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd"])
def test_a_list_that_names_files_outside_is_refused(
    folder: Folder, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    row = {"sha256": "0" * 64, "bytes": 6}
    (tmp_path / "out" / CHECKSUMS).write_text(json.dumps({"files": {name: row}}))
    with pytest.raises(FolderError, match="no path of a file below"):
        check_folder(folder)


def test_a_folder_is_taken_once_and_stays_its_owners(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "new"))
    take_folder(folder, {**OWNER, "options": 1}, OWNER)
    take_folder(folder, {**OWNER, "options": 2}, OWNER)
    assert json.loads(folder.read("export.json") or b"")["options"] == 2
    with pytest.raises(FolderError, match="another export"):
        take_folder(folder, {}, {**OWNER, "export": "y"})
    (tmp_path / "new/export.json").write_text("no json")
    with pytest.raises(FolderError, match="another export"):
        take_folder(folder, OWNER, OWNER)


def test_a_mark_that_was_left_half_written_is_our_own(tmp_path: Path) -> None:
    (tmp_path / ".export.json.partial").write_bytes(b"{")
    take_folder(Folder(str(tmp_path)), OWNER, OWNER)
    assert Folder(str(tmp_path)).names() == ["export.json"]


def test_what_is_read_back_of_an_export_is_bounded(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(tmp_path / "out" / "a.tar", 2**43)  # hashing it would take hours
    assert check_folder(folder).problems == {"a.tar": "8,796,093,022,208 bytes, not 500"}
    size = folder.size(CHECKSUMS)
    monkeypatch.setattr("recap_assets.exports.checksums.MAX_BYTES", size)
    check_folder(folder)
    monkeypatch.setattr("recap_assets.exports.checksums.MAX_BYTES", size - 1)
    with pytest.raises(FolderError, match=rf"checksums\.json has more than {size - 1:,} bytes"):
        check_folder(folder)
    (tmp_path / "out" / MARK).touch()
    os.truncate(tmp_path / "out" / MARK, 2**20 + 1)
    with pytest.raises(FolderError, match=r"export\.json has more than 1,048,576 bytes"):
        take_folder(folder, OWNER, OWNER)
    (tmp_path / "out" / SHARDS).touch()
    os.truncate(tmp_path / "out" / SHARDS, 2**27 + 1)
    with pytest.raises(FolderError, match=r"shards\.json has more than 134,217,728 bytes"):
        read_shard_list(folder)
