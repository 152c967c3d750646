"""The list of what was forgotten: it answers, and says nothing by itself."""

from pathlib import Path

import pytest

from recap_assets.storage.errors import StorageError
from recap_assets.storage.refused import FILE, Refused

UID, HASH = bytes(range(16)), bytes(range(32))


def test_what_is_on_it_is_refused_and_nothing_else(tmp_path: Path) -> None:
    assert not Refused.of(tmp_path)
    Refused.of(tmp_path).with_marks("uid", [UID]).with_marks("url", [b"http://a"]).write(tmp_path)
    found = Refused.of(tmp_path)
    assert found.refuses("uid", UID)
    assert found.refuses("url", "http://a")
    assert not found.refuses("sha256", UID)
    assert not found.refuses("uid", HASH)
    assert not found.refuses("uid", None)


def test_the_file_names_nothing_and_two_folders_have_nothing_in_common(tmp_path: Path) -> None:
    marks = set()
    for name in ("a", "b"):
        folder = tmp_path / name
        Refused.of(folder).with_marks("uid", [UID]).with_marks("sha256", [HASH]).write(folder)
        content = (folder / FILE).read_bytes()
        assert UID.hex().encode() not in content
        assert HASH.hex().encode() not in content
        marks |= Refused.of(folder).marks
    assert len(marks) == 4


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"recap_refused": 2, "salt": "", "marks": []}', b'{"recap_refused": 1}',
     b'{"recap_refused": 1, "salt": "zz", "marks": []}',
     b'{"recap_refused": 1, "salt": "00", "marks": [1]}'],
)  # fmt: skip
def test_a_list_that_cannot_be_read_refuses_everything(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(StorageError, match=r"forgotten.json, the list of what was forgotten"):
        Refused.of(tmp_path)
