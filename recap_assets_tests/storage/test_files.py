"""Files and folders appear whole or not at all."""

from datetime import datetime, tzinfo
from pathlib import Path
from typing import Self

import pytest

from recap_assets.storage import files
from recap_assets.storage.files import (
    directory_is_whole,
    place_aside,
    replaced_directory,
    write_atomically,
)


def test_a_file_is_replaced_and_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o044
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def _write_and_fail(folder: Path) -> None:
    (folder / "weights").write_text("2")
    raise RuntimeError


def test_a_folder_is_replaced_when_its_maker_succeeds_and_kept_when_not(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with replaced_directory(folder) as new:
        (new / "weights").write_text("1")
    with pytest.raises(RuntimeError), replaced_directory(folder) as new:
        _write_and_fail(new)
    assert (folder / "weights").read_text() == "1"
    with replaced_directory(folder) as new:
        (new / "other").write_text("3")
    assert [entry.name for entry in folder.iterdir()] == ["other"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


class Noon(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2026, 1, 1, 12, tzinfo=tz)


def test_files_put_aside_in_one_second_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "datetime", Noon)
    damaged = tmp_path / "event_log.db"
    for content in ("one", "two", "three"):
        damaged.write_text(content)
        damaged.rename(place_aside(damaged))
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {
        "event_log.db.damaged-20260101T120000": "one",
        "event_log.db.damaged-20260101T120000-2": "two",
        "event_log.db.damaged-20260101T120000-3": "three",
    }


def _listed(folder: Path) -> None:
    with replaced_directory(folder, listed=True) as new:
        (new / "deep").mkdir()
        (new / "deep" / "weights").write_text("123")
        (new / "settings").write_text("{}")


@pytest.mark.parametrize("name", ["settings", "deep/weights"])
def test_a_listed_folder_with_a_file_gone_or_cut_is_not_whole(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    _listed(folder)
    assert directory_is_whole(folder)
    (folder / name).write_text("1")
    assert directory_is_whole(folder) is False
    _listed(folder)
    (folder / name).unlink()
    assert directory_is_whole(folder) is False


def test_of_a_folder_without_a_list_or_with_a_damaged_one_nothing_is_known(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    _listed(folder)
    (tmp_path / ".model.files.json").write_text("[1")
    assert directory_is_whole(folder) is None
    with replaced_directory(folder) as new:
        (new / "other").write_text("1")
    assert directory_is_whole(folder) is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
