"""Former results are found by the receipts of the experiment and of its neighbours."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.lineage.former import ReceiptsOfAll
from recap_assets.storage.workspace import Workspace

ASSET = "models/scorer"


def receipt(day: int = 1, **changes: Any) -> pl.DataFrame:
    row: dict[str, Any] = dict.fromkeys(LINEAGE.columns, "{}") | {
        "asset": ASSET, "partition": "", "instance": "i", "event_id": day,
        "built_at": datetime(2026, 11, day, tzinfo=UTC), "run_id": "", "reused": False,
        "data_version": f"version {day}", "fingerprint": "wanted", "code_version": "c",
        "implementation": 1, "n_rows": 5, "n_bytes": 9, "seconds": 3.5, "device": "cpu",
        "experiment": "e", "table_versions": json.dumps({"words": day}),
    }  # fmt: skip
    return pl.DataFrame([row | changes], schema=LINEAGE.schema)


def keep(data: Path, name: str, *receipts: pl.DataFrame) -> Workspace:
    workspace = Workspace(data, name)
    for one in receipts:
        workspace.tables.append(LINEAGE, one)
    return workspace


def found(own: Workspace, partition: str = "") -> list[tuple[str, str]]:
    formers = ReceiptsOfAll(own).of(ASSET, partition, "wanted")
    return [(former.there.name, former.data_version) for former in formers]


def test_own_results_come_first_and_then_the_neighbours_the_newest_first(tmp_path: Path) -> None:
    own = keep(tmp_path, "own", receipt(2), receipt(3))
    keep(tmp_path, "before", receipt(5))
    keep(tmp_path, "next", receipt(7), receipt(9))
    (tmp_path / "server_replies.sqlite").touch()
    (tmp_path / "contents").mkdir()
    assert found(own) == [
        ("own", "version 3"), ("own", "version 2"), ("before", "version 5"),
        ("next", "version 9"), ("next", "version 7"),
    ]  # fmt: skip
    former = next(iter(ReceiptsOfAll(own).of(ASSET, "", "wanted")))
    assert (former.n_rows, former.seconds, former.device) == (5, 3.5, "cpu")
    assert (former.table_versions, former.built_on) == ({"words": 3}, "2026-11-03")
    assert former.described == {
        "taken_over_from": "an earlier version, computed on 2026-11-03",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": "another"},
        {"partition": "00001"},
        {"asset": "models/other"},
        {"reused": True},
    ],
)
def test_what_came_from_something_else_is_no_former_result(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    own = keep(tmp_path, "own", receipt(**changes))
    keep(tmp_path, "next", receipt(**changes))
    assert found(own) == []


def test_a_neighbour_whose_receipts_are_damaged_is_passed_over(tmp_path: Path) -> None:
    own = keep(tmp_path, "own", receipt())
    broken = keep(tmp_path, "broken", receipt())
    for file in Path(broken.tables.uri(LINEAGE)).rglob("*.parquet"):
        file.write_bytes(b"no parquet")
    gone = keep(tmp_path, "gone", receipt())
    (log,) = (Path(gone.tables.uri(LINEAGE)) / "_delta_log").glob("*0.json")
    log.write_text("no log")
    keep(tmp_path, "whole", receipt(4))
    assert found(own) == [("own", "version 1"), ("whole", "version 4")]


def test_the_first_experiment_of_a_folder_has_none(tmp_path: Path) -> None:
    assert found(Workspace(tmp_path / "data", "own")) == []


def test_neighbours_share_the_root_of_the_tables(tmp_path: Path) -> None:
    root = str(tmp_path / "tables")
    for name in ("own", "next"):
        Workspace(tmp_path / "data", name, root).tables.append(LINEAGE, receipt())
    keep(tmp_path / "data", "elsewhere", receipt())
    assert found(Workspace(tmp_path / "data", "own", root)) == [
        ("own", "version 1"), ("next", "version 1"),
    ]  # fmt: skip
