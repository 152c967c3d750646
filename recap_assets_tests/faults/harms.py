"""What happens to a build's files from outside, and the state that a build leaves."""

import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from random import Random

import yaml

from recap_assets.defs.session import HOME_VARIABLE
from recap_assets.graph.planner import plan
from recap_assets.graph.selection import select_assets
from recap_assets.storage.workspace import TABLES_VARIABLE
from recap_assets_tests.faults.small import SELECT, edit
from recap_assets_tests.killed_builds import KilledBuild, contents_of

FILE = "experiment.yaml"
STATE = "state.json"
LOCK_SECONDS = 2.0

__all__ = ["FILE", "LOOKS", "STATE", "damage", "edit", "lock"]


def event_log(folder: Path) -> Path:
    """Dagster's event log in the folder of a fault."""
    return folder / "data" / "faults" / "dagster" / "event_log.db"


def damage(how: str, folder: Path) -> None:
    """Have the event log gone, emptied or garbled; no error where there is none yet."""
    log = event_log(folder)
    if not log.exists():
        return
    if how == "garbled":
        content = bytearray(log.read_bytes())
        random = Random(len(content))  # noqa: S311 - no secret
        for _ in range(max(1, len(content) // 4096 // 4)):
            at = 4096 * random.randrange(max(1, len(content) // 4096))
            content[at : at + 4096] = random.randbytes(4096)
        log.write_bytes(content)
    elif how == "emptied":
        log.write_bytes(b"")
    elif how == "gone":
        log.unlink()
    if how != "garbled":
        for end in ("-wal", "-shm"):
            log.with_name(log.name + end).unlink(missing_ok=True)


def lock(folder: Path) -> int:
    """Hold the event log's lock for seconds, as another program that reads it may."""
    log = event_log(folder)
    if log.exists():
        with closing(sqlite3.connect(log, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(LOCK_SECONDS)
    return 0


def build_in(folder: Path) -> KilledBuild:
    """The build in the folder of a fault."""
    build = KilledBuild(folder, yaml.safe_load((folder / FILE).read_text()))
    build.tables_root = os.environ.get(TABLES_VARIABLE)
    build.home = Path(os.environ[HOME_VARIABLE])
    return build


def read_tables(folder: Path) -> int:
    """Read every table in plain polars; it opens nothing else.

    Raises:
        AssertionError: A table has other columns.
    """
    build_in(folder).check_tables()
    return 0


def write_state(folder: Path) -> int:
    """Write what a finished build left to `state.json`, all tables read in plain polars."""
    build = build_in(folder)
    build.check_tables()
    with build.opened() as (session, instance):
        graph, records = session.graph, session.records(instance)
        wanted = graph.ancestors(select_assets(graph, list(SELECT)))
        left = [entry.name for entry in plan(graph, records).only(wanted).entries]
        versions = {
            f"{asset}[{partition}]": record.data_version
            for asset in sorted(wanted)
            for partition, record in sorted(records.latest(asset).items())
        }
    found = {"left": left, "versions": versions, "contents": contents_of(build.workspace)}
    (folder / STATE).write_text(json.dumps(found))
    return 0


LOOKS = {"tables": read_tables, "state": write_state}
