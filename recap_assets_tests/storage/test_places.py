import sys
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import _registry

from recap_assets.storage.places import PlaceError, located, matches, pattern_of, url_of


def found(where: str) -> list[str]:
    fs, root = located(where)
    pattern = pattern_of(fs, root)
    return sorted(matches(fs, *pattern) if pattern else fs.find(root))


@pytest.mark.parametrize(
    "name", ["data[1]", "a::b", "what?", "a*b", "s3::x", "file:x", "50%20", "#1", "memory::y"]
)
def test_a_folder_that_is_there_is_read_as_it_is(tmp_path, monkeypatch, name):
    file = tmp_path / name / "0.tar"
    file.parent.mkdir()
    file.touch()
    monkeypatch.chdir(tmp_path)

    for where in (name, str(tmp_path / name)):
        assert found(where) == [str(file)]
        assert found(f"{where}/*.tar") == [str(file)]
    fs, path = located(str(file))
    assert located(url_of(fs, path))[1] == str(file)


def test_what_is_not_there_is_a_glob_or_a_url(tmp_path):
    for name in ("a1/0.tar", "a2/1.tar", "a2/x.json", "b/c/2.tar"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def names(pattern: str) -> list[str]:
        return [Path(path).name for path in found(f"{tmp_path}/{pattern}")]

    assert names("a[12]/*.tar") == ["0.tar", "1.tar"]
    assert names("a?/*.json") == ["x.json"]
    assert names("**/*.tar") == ["0.tar", "1.tar", "2.tar"]
    assert names("*.tar") == []
    assert type(located("memory://x")[0]).__name__ == "MemoryFileSystem"


def test_a_new_folder_with_colons_is_a_path(tmp_path):
    fs, path = located(f"{tmp_path}/not::there")
    assert isinstance(fs, LocalFileSystem)
    assert path == f"{tmp_path}/not::there"


@pytest.mark.parametrize("where", ["reference://x", "gopher://x/y"])
def test_an_address_that_no_file_system_takes_is_told_in_words(where):
    with pytest.raises(PlaceError, match=f"^{where} cannot be read: "):
        located(where)


@pytest.mark.parametrize(
    ("where", "library"), [("gs://b/x", "gcsfs"), ("abfs://b/x", "adlfs"), ("s3://b/x", "s3fs")]
)
def test_what_reads_an_address_is_named_with_what_installs_it(where, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    # fsspec keeps what another test has loaded.
    monkeypatch.delitem(_registry, where.partition(":")[0], raising=False)
    with pytest.raises(
        PlaceError, match=f"{where} cannot be read: .*; run `.*pip install .*{library}"
    ):
        located(where)
