"""A sample that is taken out of a tar leaves the others where they are."""

import tarfile
from pathlib import Path

import pytest

from recap_assets.shards.blanking import blank
from recap_assets.shards.files import LocalFile
from recap_assets.shards.tar_index import index_tar
from recap_assets_tests.evaluation.sets_on_disk import write_tar

LONG = "folder/" + "n" * 150


def members(path: Path) -> list[tuple[str, int, bytes]]:
    file = LocalFile(str(path))
    found = index_tar(file)
    assert found.end == "complete"
    read = [(one.name, one.offset, file.read(one.offset, one.size)) for one in found.members]
    file.close()
    return read


@pytest.mark.parametrize("key", ["a", "b", "c", LONG])
def test_the_others_stay_where_they_are(tmp_path: Path, key: str) -> None:
    path = tmp_path / "0.tar"
    secret = b"secret of " + key.encode()
    content = [
        (f"{name}.{ending}", secret if name == key else b"x" * 700)
        for name in ("a", LONG, "b", "c")
        for ending in ("jpg", "txt")
    ]
    write_tar(path, content)
    before, size = members(path), path.stat().st_size
    assert blank(path, {key: "forgotten-0"}) == 2
    after = members(path)
    assert path.stat().st_size == size
    others = [one for one in before if not one[0].startswith(f"{key}.")]
    assert [one for one in after if not one[0].startswith("forgotten-")] == others
    gone = [one for one in after if one[0].startswith("forgotten-")]
    assert len(gone) == 2
    assert not any(any(data) for _, _, data in gone)
    assert secret not in path.read_bytes()
    assert f"{key}.jpg".encode() not in path.read_bytes()
    with tarfile.open(path) as tar:
        assert len(tar.getnames()) == 8
    assert blank(path, {key: "forgotten-0"}) == 0
    assert list(tmp_path.iterdir()) == [path]
