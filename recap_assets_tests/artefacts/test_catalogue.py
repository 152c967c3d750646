"""What docs/tables.md says of how a table is opened."""

from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.catalogue import described
from recap_assets.artefacts.sets import UID_SETS
from recap_assets.storage.workspace import Workspace


@pytest.mark.parametrize(
    ("folder", "use_pyarrow"),
    [
        ("plain", False),
        ("plain", True),
        ("a folder, naïve 图", True),
    ],
)
def test_a_table_is_opened_by_its_path(tmp_path: Path, folder: str, use_pyarrow: bool) -> None:
    tables = Workspace(tmp_path / folder, "mine").tables
    members = pl.DataFrame({"uid": [bytes(16), bytes([1]) * 16]})
    tables.replace(UID_SETS, {"set": "two", "partition": "00000"}, members)
    path = tmp_path / folder / "mine" / "tables" / "uid_sets"
    found = pl.read_delta(str(path), use_pyarrow=use_pyarrow)
    assert found.sort("uid").rows() == [("two", "00000", uid) for uid in members["uid"]]
    assert "`pl.read_delta(path, use_pyarrow=True)`" in described()
