"""The version of files by their bytes: once hashed it is kept, and never kept too long."""

import os
from pathlib import Path

import pytest

from recap_assets.storage import folder_content
from recap_assets.storage.folder_content import UNREADABLE, content_version


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "deep" / "model.safetensors").write_bytes(b"weights")
    return tmp_path / "model"


def test_place_and_time_and_hidden_files_change_nothing(folder: Path, tmp_path: Path) -> None:
    before = content_version(folder)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "lock").touch()
    (folder / ".gitattributes").touch()
    os.utime(folder / "config.json", (1, 1))
    assert content_version(folder.rename(tmp_path / "moved")) == before


@pytest.mark.parametrize("name", ["config.json", "deep/model.safetensors", "new.json"])
def test_each_byte_and_each_name_counts(folder: Path, name: str) -> None:
    before = content_version(folder)
    (folder / name).write_bytes(b"other.. "[:7])
    assert content_version(folder) != before
    (folder / name).unlink()
    assert content_version(folder) not in ("", UNREADABLE)


def test_the_name_of_a_file_alone_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"x")
    before = content_version(file)
    assert content_version(file.rename(tmp_path / "b.bin")) == before


def test_a_link_to_a_file_is_that_file(folder: Path, tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    (folder / "config.json").rename(blob)
    (folder / "config.json").symlink_to(blob)
    before = content_version(folder)
    blob.write_text("[]")
    assert content_version(folder) != before


def test_what_cannot_be_read_is_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "pipe", "empty"):
        assert content_version(tmp_path / name) == UNREADABLE


def test_what_was_hashed_is_not_read_again_until_it_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    before = content_version(folder, kept)
    hashed: list[Path] = []
    real = folder_content._version
    monkeypatch.setattr(
        folder_content, "_version", lambda place, files: hashed.append(place) or real(place, files)
    )
    assert content_version(folder, kept) == before
    assert hashed == []
    stamp = (folder / "config.json").stat()
    (folder / "config.json").write_text("[]")  # as long, and as old, as what was there
    os.utime(folder / "config.json", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert content_version(folder, kept) != before
    assert hashed == [folder]


def test_a_full_disk_costs_time_and_nothing_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_content, "write_atomically", full)
    assert content_version(folder, tmp_path / "kept") == content_version(folder)
