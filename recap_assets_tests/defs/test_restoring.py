"""Dagster's records are made anew from the lineage where they are gone or damaged."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.defs.building import Build
from recap_assets.defs.lineage import copy_missing_events, storage_id
from recap_assets.defs.session import Session
from recap_assets.graph.planner import plan
from recap_assets.graph.records import Record
from recap_assets_tests.killed_builds import KilledBuild
from recap_assets_tests.tiny import EXPERIMENT

pytestmark = pytest.mark.long(reason="commands in processes of their own, each on lost records")

SMALL = {
    **EXPERIMENT,
    "name": "small",
    "sources": {},
    "models": {"scorer": EXPERIMENT["models"]["scorer"]},
    "mixes": {"raw": [{"use": "raw"}]},
    "report": None,
}
SELECT = ["curated_mixes/raw"]

Known = dict[tuple[str, str], Record]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> KilledBuild:
    """A small experiment whose mix is built."""
    build = KilledBuild(tmp_path_factory.mktemp("restoring"), _without_none(SMALL))
    with build.opened() as (session, _):
        for _ in Build(session, 1, SELECT).events():
            pass
    return build


def _without_none(values: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}


def known(session: Session, instance: dg.DagsterInstance) -> Known:
    records = session.records(instance)
    return {(a, p): r for a in session.graph.nodes for p, r in records.latest(a).items()}


def planned(session: Session, instance: dg.DagsterInstance) -> set[str]:
    wanted = session.graph.ancestors(SELECT)
    return {e.name for e in plan(session.graph, session.records(instance)).only(wanted).entries}


def gone(folder: Path) -> None:
    for path in folder.glob("*.db*"):
        path.unlink()


def event_log_gone(folder: Path) -> None:
    for path in folder.glob("event_log.db*"):
        path.unlink()


def empty(folder: Path) -> None:
    event_log_gone(folder)
    (folder / "event_log.db").touch()


def garbage(folder: Path) -> None:
    event_log_gone(folder)
    (folder / "event_log.db").write_bytes(b"garbage " * 1_000)


def one_page(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "event_log.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'event_logs'"
        ).fetchone()[0]
    with (folder / "event_log.db").open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 4096)


@pytest.mark.parametrize("damage", [gone, event_log_gone, empty, garbage, one_page])
def test_records_are_made_anew_and_nothing_is_out_of_date(
    build: KilledBuild, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with build.opened() as (session, instance):
        before, owner, out = (
            known(session, instance),
            storage_id(instance),
            planned(session, instance),
        )
    assert not out
    assert before
    kept = set(build.workspace.instance.glob("*.damaged-*"))
    damage(build.workspace.instance)
    capsys.readouterr()
    with build.opened() as (session, instance):
        told = capsys.readouterr().err
        assert known(session, instance) == before
        assert planned(session, instance) == set()
        assert storage_id(instance) == owner
        assert (
            copy_missing_events(
                session.project, instance, session.records(instance), session.graph.nodes
            )
            == 0
        )
        instance.report_runless_asset_event(dg.AssetMaterialization("another"))
        newest = instance.fetch_materializations(dg.AssetKey("another"), limit=1).records[0]
        assert newest.storage_id > max(record.event_id for record in before.values())
        instance.wipe_assets([dg.AssetKey("another")])
    assert f"were gone: {len(before)} records were recreated from the table lineage" in told
    aside = set(build.workspace.instance.glob("event_log.db.damaged-*")) - kept
    assert len(aside) == (damage not in (gone, event_log_gone))
    assert all(path.name in told for path in aside)
    with build.opened():
        assert capsys.readouterr().err == ""


def test_what_was_written_after_the_last_copy_is_built_again(build: KilledBuild) -> None:
    tables = build.workspace.tables
    at = {"partition": "00000"}
    rows = tables.read(RAW_POOL, **at)
    facts = {"recap.asset": "raw_pool", "recap.fingerprint": "of a build whose receipt is lost"}
    tables.replace(RAW_POOL, at, rows.with_columns(text=pl.lit("other")), commit=facts)
    gone(build.workspace.instance)
    try:
        with build.opened() as (session, instance):
            assert {"raw_pool[00000]"} <= planned(session, instance)
            assert "raw_pool[00001]" not in planned(session, instance)
    finally:
        facts["recap.fingerprint"] = _fingerprint(build, "raw_pool", "00000")
        tables.replace(RAW_POOL, at, rows, commit=facts)
        gone(build.workspace.instance)


def test_a_model_that_is_another_is_built_again(build: KilledBuild) -> None:
    path = next(p for p in build.workspace.model("scorer").iterdir() if p.is_file())
    content = path.read_bytes()
    path.write_bytes(content + b"\n")
    gone(build.workspace.instance)
    try:
        with build.opened() as (session, instance):
            assert "models/scorer" in planned(session, instance)
    finally:
        path.write_bytes(content)
        gone(build.workspace.instance)


def _fingerprint(build: KilledBuild, asset: str, partition: str) -> str:
    rows = build.workspace.tables.read(LINEAGE, asset=asset).sort("event_id")
    return rows.filter(pl.col("partition") == partition)["fingerprint"][-1]
