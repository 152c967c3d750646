"""What receipts pin is known for sure, or an error says which receipt cannot be read."""

import json
from pathlib import Path

import pytest

from recap_assets.storage.pins import pinned_versions
from recap_assets.storage.tables import StorageError


def test_versions_are_gathered_with_the_receipts_that_pin_them(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"table_versions": {"raw_pool": [3], "clip_scores": [5, 7]}}')
    (tmp_path / "b.json").write_text('{"name": "b", "table_versions": {"raw_pool": [3, 4]}}')
    (tmp_path / "notes.txt").write_text("no receipt")
    assert pinned_versions(tmp_path) == {
        "raw_pool": {3: ["a", "b"], 4: ["b"]},
        "clip_scores": {5: ["a"], 7: ["a"]},
    }


def test_without_receipts_nothing_is_pinned(tmp_path: Path) -> None:
    assert pinned_versions(tmp_path / "receipts") == {}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        b"\xff\xfe",
        json.dumps({"table_versions": ["raw_pool"]}),
        json.dumps({"table_versions": {"raw_pool": 3}}),
        json.dumps({"table_versions": {"raw_pool": ["3"]}}),
        json.dumps({"table_versions": {"raw_pool": [True]}}),
        json.dumps({"table_versions": {"raw_pool": [-1]}}),
    ],
)
def test_a_receipt_that_cannot_be_read_is_named(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "good.json").write_text('{"table_versions": {"raw_pool": [3]}}')
    path = tmp_path / "torn.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StorageError, match=r"torn\.json cannot be read"):
        pinned_versions(tmp_path)
