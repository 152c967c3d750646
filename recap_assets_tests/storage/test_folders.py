"""A file in an export's folder is whole or not there, wherever the folder lies."""

import hashlib
from pathlib import Path

import pytest

from recap_assets.storage.folders import Folder, FolderError


@pytest.fixture(params=["local", "bucket"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    local = str(tmp_path / "out")
    return Folder(local if request.param == "local" else f"memory://bucket/{tmp_path.name}")


def test_what_is_written_is_read_with_its_hash_and_size(folder: Folder) -> None:
    with folder.writing("a/b.bin") as file:
        file.write(b"one ")
        file.write(memoryview(b"two"))
    told = file.written("a/b.bin")
    assert folder.read("a/b.bin") == b"one two"
    assert (told.sha256, told.size) == (hashlib.sha256(b"one two").hexdigest(), 7)
    assert folder.hashed("a/b.bin") == told
    assert (folder.size("a/b.bin"), folder.names(), folder.top_names()) == (7, ["a/b.bin"], {"a"})


def test_a_file_that_was_not_finished_is_not_there(folder: Folder) -> None:
    folder.write("a.bin", b"before")

    def write_half() -> None:
        with folder.writing("a.bin") as file:
            file.write(b"half of")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_half()
    assert folder.read("a.bin") == b"before"


def test_what_is_not_there_is_none(folder: Folder) -> None:
    assert (folder.read("x"), folder.size("x"), folder.hashed("x")) == (None, None, None)
    assert folder.top_names() == set()
    assert folder.names("nowhere") == []
    folder.remove(["x"])


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a//b", ".", "a\0b", "./x"])
def test_no_name_leads_out_of_the_folder(folder: Folder, name: str) -> None:
    for use in (folder.read, folder.size, folder.hashed, lambda n: folder.write(n, b"")):
        with pytest.raises(FolderError, match="no path of a file below"):
            use(name)


def test_folders_that_removal_empties_go_and_others_stay(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    for name in ("a/b/1", "a/b/2", "a/c/3"):
        folder.write(name, b"")
    folder.remove(["a/b/1", "a/b/2"])
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["c"]
    folder.remove(["a/c/3"])
    assert tmp_path.is_dir()
    assert not any(tmp_path.iterdir())
