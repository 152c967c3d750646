"""Dagster's records recreated from the table `lineage`, where its files are gone or were damaged.

Each event gets the number that it had, and the storage the id that it had, so that the lineage
continues as if nothing had happened. An event is made only where the storage still holds what it
describes: what was written after the last copy into the lineage is computed once more.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import dagster as dg
import polars as pl
import sqlalchemy
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.utils import RUNLESS_JOB_NAME
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log import (
    ConsolidatedSqliteEventLogStorage,
)
from dagster._core.storage.runs.schema import InstanceInfo
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._serdes import serialize_value

from recap_assets.artefacts.catalogue import all_tables
from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.defs.events import Account, materialization
from recap_assets.defs.lineage import storage_id
from recap_assets.defs.storage_files import COMPARED, FORGOTTEN
from recap_assets.graph.building import Built
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Graph, Outcome
from recap_assets.graph.project import Project
from recap_assets.graph.records import Inputs, Record
from recap_assets.lineage.rows import Receipt
from recap_assets.storage.errors import StorageError
from recap_assets.storage.history import Committed, commits

LOG_LEVEL = 20


@dataclass(frozen=True)
class Restored:
    """What was recreated.

    Attributes:
        n_events: Partitions whose record was recreated.
        n_left_out: Partitions whose content is another than the lineage describes.
        after_forgetting: Whether `recap forget` had taken the events away.
    """

    n_events: int
    n_left_out: int
    after_forgetting: bool = False


def restore_records(
    project: Project, instance: dg.DagsterInstance, graph: Callable[[], Graph]
) -> Restored | None:
    """Make the events of all that the lineage describes, where the event log has none of them.

    An event log is compared with the lineage once, when it is opened for the first time.

    Args:
        project: The experiment.
        instance: Its instance.
        graph: Makes its graph, where it is needed.

    Returns:
        None where nothing was missing, or the records are in a storage of another kind.
    """
    log, runs = instance.event_log_storage, instance.run_storage
    if not isinstance(log, ConsolidatedSqliteEventLogStorage) or not isinstance(
        runs, SqlRunStorage
    ):
        return None
    with log.index_connection() as connection:
        mark = connection.execute(sqlalchemy.text("PRAGMA user_version")).scalar()
    if mark == COMPARED:
        return None
    rows = _receipts(project, storage_id(instance))
    done = None
    if rows.height and not _are_there(log, rows):
        with runs.connect() as connection:
            connection.execute(InstanceInfo.update().values(run_storage_id=rows["instance"][0]))
        done = _write(log, rows, Holdings(project, graph()))
        done = replace(done, after_forgetting=mark == FORGOTTEN)
    with log.index_connection() as connection:
        connection.execute(sqlalchemy.text(f"PRAGMA user_version = {COMPARED}"))
    return done


def _receipts(project: Project, owner: str) -> pl.DataFrame:
    """All receipts of one storage of Dagster's: this one, or where there are none the last one."""
    every = project.workspace.tables.read(LINEAGE).unique(["instance", "event_id"])
    own = every.filter(pl.col("instance") == owner)
    if own.is_empty() and every.height:
        own = every.filter(pl.col("instance") == every.sort("built_at")["instance"][-1])
    return own.sort("event_id")


def _are_there(log: ConsolidatedSqliteEventLogStorage, rows: pl.DataFrame) -> bool:
    """Whether the log has one of the newest events of each asset."""
    table = SqlEventLogStorageTable
    newest = rows.unique("asset", keep="last", maintain_order=True)
    with log.index_connection() as connection:
        for asset, event_id in newest.select("asset", "event_id").iter_rows():
            wanted = sqlalchemy.select(table.c.asset_key).where(table.c.id == event_id)
            key = dg.AssetKey(asset.split("/")).to_string()
            if connection.execute(wanted).scalar() == key:
                return True
    return False


def _write(
    log: ConsolidatedSqliteEventLogStorage, rows: pl.DataFrame, holdings: "Holdings"
) -> Restored:
    newest = rows.unique(["asset", "partition"], keep="last", maintain_order=True)
    receipts = [Receipt.parse(row) for row in newest.iter_rows(named=True)]
    held = [receipt for receipt in receipts if holdings.has(receipt)]
    last: dict[str, tuple[EventLogEntry, int]] = {}
    # One transaction: a kill leaves nothing, and the next one makes all of it.
    with log.index_connection() as connection:
        for receipt in held:
            entry = _entry(receipt)
            statement = log.prepare_insert_event(entry).values(id=receipt.event_id)
            connection.execute(statement)
            log._store_asset_event_tags(connection, [entry], [receipt.event_id])  # noqa: SLF001 - a test holds it
            last[receipt.asset] = entry, receipt.event_id
        for entry, event_id in last.values():
            log._store_asset_event(connection, entry, event_id)  # noqa: SLF001 - as above
        _keep_numbers(connection, rows["event_id"].max(), {receipt.event_id for receipt in held})  # type: ignore[arg-type]
    return Restored(len(held), len(receipts) - len(held))


def _keep_numbers(connection: sqlalchemy.Connection, last: int, made: Iterable[int]) -> None:
    """Let new events get numbers above all that were ever given."""
    if last in set(made):
        return
    entry = EventLogEntry(
        error_info=None, level=LOG_LEVEL, user_message="Records recreated.", run_id="",
        timestamp=datetime.now(UTC).timestamp(),
    )  # fmt: skip
    values = {"id": last, "run_id": "", "event": serialize_value(entry)}
    connection.execute(SqlEventLogStorageTable.insert().values(**values))


def _entry(receipt: Receipt) -> EventLogEntry:
    record = _record(receipt)
    outcome = Outcome(receipt.data_version, receipt.n_rows, receipt.rejected, receipt.facts)
    built = Built(record, outcome, receipt.reused, receipt.input_events)
    key = dg.AssetKey(receipt.asset.split("/"))
    event = materialization(key, receipt.partition, built, _account(receipt), receipt.experiment)
    return EventLogEntry(
        error_info=None,
        level=LOG_LEVEL,
        user_message="",
        run_id=receipt.run_id,
        timestamp=receipt.built_at.timestamp(),
        dagster_event=DagsterEvent(
            event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name=RUNLESS_JOB_NAME,
            event_specific_data=StepMaterializationData(event),
        ),
    )


def _record(receipt: Receipt) -> Record:
    inputs = Inputs.of(receipt.inputs)
    return Record(
        receipt.data_version,
        receipt.code_version,
        inputs,
        receipt.n_rows,
        seconds=receipt.seconds,
        n_bytes=receipt.n_bytes,
        facets=Inputs.of(receipt.facets),
        read=inputs.with_facets(receipt.facets_read),
    )


def _account(receipt: Receipt) -> Account:
    return Account(
        decides=receipt.decides,
        implementation=receipt.implementation,
        reads=receipt.reads,
        table_versions=receipt.table_versions,
        rejected=receipt.rejected,
        facts=receipt.facts,
        provenance=receipt.provenance,
        seconds=receipt.seconds,
        n_bytes=receipt.n_bytes,
        gpu_seconds=0.0 if receipt.device == "cpu" else receipt.seconds,
        device=receipt.device,
        reused=receipt.reused,
        facets=receipt.facets,
        facets_read=receipt.facets_read,
    )


class Holdings:
    """Whether the storage still holds what a receipt describes.

    A later build may have written, and died before its receipt was copied.
    """

    def __init__(self, project: Project, graph: Graph) -> None:
        self._tables = project.workspace.tables
        self._graph = graph

    def has(self, receipt: Receipt) -> bool:
        """By the Delta logs for rows, by their hash for files."""
        if any(commit.changed(receipt) for commit in self._commits.get(receipt.asset, ())):
            return False
        node = self._graph.nodes.get(receipt.asset)
        if node is None or node.content is None or isinstance(node.content, StoredRows):
            return True
        try:
            found = node.stored_version(receipt.partition, {})
        except (StorageError, OSError, ValueError, pl.exceptions.PolarsError):
            return False
        return found is None or found == receipt.data_version

    @cached_property
    def _commits(self) -> Mapping[str, list["_Commit"]]:
        found: dict[str, list[_Commit]] = {}
        for table in all_tables().values():
            for commit in commits(self._tables, table):
                asset = commit.facts.get("recap.asset", "")
                found.setdefault(asset, []).append(_Commit(table.name, commit))
        return found


@dataclass(frozen=True)
class _Commit:
    table: str
    commit: Committed

    def changed(self, receipt: Receipt) -> bool:
        """Whether it wrote the receipt's slice after the receipt, from something else."""
        if self.commit.version <= receipt.table_versions.get(self.table, -1):
            return False
        word = rf"(?<!\w){re.escape(receipt.partition)}(?!\w)"
        is_of_it = not receipt.partition or re.search(word, self.commit.predicate)
        return bool(is_of_it) and self.commit.facts.get("recap.fingerprint") != receipt.fingerprint
