"""Lineage: every materialization event, copied into a table of its own.

A step copies its events when it ends; the steps of `recap build` leave it to the build, which
does it for many at once. What was killed did not, so whoever asks for lineage copies first what is
missing.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg
import polars as pl
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from recap_assets.artefacts.lineage import EXPERIMENTS, LINEAGE
from recap_assets.captions.charges import charges_of
from recap_assets.defs.events import EXPERIMENT, Account, Materialized
from recap_assets.defs.records import DagsterRecords
from recap_assets.graph.project import Project
from recap_assets.graph.records import Record
from recap_assets.lineage.costs import keep_costs
from recap_assets.storage.kinds_used import keep_kinds

_BATCH = 1_000


def copy_events_of_run(
    project: Project, instance: dg.DagsterInstance, key: dg.AssetKey, run_id: str, after: int
) -> None:
    """Copy one run's events of an asset: those after an event number."""
    wanted = dg.AssetRecordsFilter(asset_key=key, after_storage_id=after)
    found = instance.fetch_materializations(wanted, limit=_BATCH)
    rows = list(found.records)
    while found.has_more:
        found = instance.fetch_materializations(wanted, limit=_BATCH, cursor=found.cursor)
        rows += found.records
    owner = storage_id(instance)
    events = [Materialized(row) for row in rows if row.run_id == run_id]
    _append(project, [_row("/".join(key.path), owner, e) for e in events if e.is_ours])


def copy_missing_events(
    project: Project, instance: dg.DagsterInstance, records: DagsterRecords, assets: Collection[str]
) -> int:
    """Copy the newest event of every partition that the lineage does not have yet.

    Returns:
        How many were missing.
    """
    owner = storage_id(instance)
    there = project.workspace.tables.scan(LINEAGE).filter(pl.col("instance") == owner)
    copied = there.select("asset", "event_id").collect().partition_by("asset", as_dict=True)
    rows = []
    records.look(assets)
    for asset in assets:
        newest = {record.event_id for record in records.latest(asset).values()}
        known = copied.get((asset,))
        missing = newest.difference(known["event_id"] if known is not None else ())
        rows += [_row(asset, owner, e) for e in records.events(asset, sorted(missing))]
    _append(project, rows)
    return len(rows)


def keep_experiment(project: Project) -> None:
    """Keep the experiment whole, where this version of it was never used before."""
    experiment = project.experiment
    keep_kinds(project.workspace.kinds_used, experiment.givers())
    at = {"experiment": experiment.version}
    tables = project.workspace.tables
    if not tables.has(EXPERIMENTS, at):
        row = pl.DataFrame(
            {
                "name": [experiment.name],
                "content": [experiment.canonical()],
                "first_used": [datetime.now(UTC)],
            },
            schema_overrides={"first_used": EXPERIMENTS.schema["first_used"]},
        )
        tables.replace(EXPERIMENTS, at, row)


def storage_id(instance: dg.DagsterInstance) -> str:
    """Id of the instance's storage: event numbers count within it."""
    storage = instance.run_storage
    if isinstance(storage, SqlRunStorage):
        return storage.get_run_storage_id()
    return type(storage).__name__


def _append(project: Project, rows: Sequence[Mapping[str, object]]) -> None:
    frame = pl.DataFrame(list(rows), schema=LINEAGE.schema, orient="row")
    # First: what is cut off between the two is copied again, and the ledger counts it once.
    keep_costs(project.workspace.tables, frame, charges_of(project))
    project.workspace.tables.append(LINEAGE, frame)


def _row(asset: str, owner: str, event: Materialized) -> dict[str, object]:
    return {
        **described_by(event.record, event.account),
        "asset": asset,
        "partition": event.partition,
        "instance": owner,
        "event_id": event.event_id,
        "built_at": event.built_at,
        "run_id": event.run_id,
        "input_events": as_json(event.input_events),
        "experiment": event.tags.get(EXPERIMENT, ""),
    }


def described_by(record: Record, account: Account) -> dict[str, object]:
    """The columns of LINEAGE that a record and an account hold."""
    return {
        "reused": account.reused,
        "data_version": record.data_version,
        "fingerprint": record.fingerprint,
        "code_version": record.code_version,
        "implementation": account.implementation,
        "decides": account.decides,
        "inputs": as_json(record.inputs.by_name),
        "reads": as_json(account.reads),
        "table_versions": as_json(account.table_versions),
        "n_rows": record.n_rows,
        "n_bytes": account.n_bytes,
        "seconds": account.seconds,
        "device": account.device,
        "provenance": as_json(account.provenance),
        "rejected": as_json(account.rejected),
        "facts": as_json(account.facts),
        "facets": as_json(account.facets),
        "facets_read": as_json(account.facets_read),
    }


def as_json(value: object) -> str:
    """A JSON column's text."""
    return json.dumps(value, sort_keys=True)
