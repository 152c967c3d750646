"""Materialization events: written with our own versions, read back as records.

Dagster copies one data version to every partition of a run that holds several, and hashes their
provenance over the batch (issues 34013, 18649, 21072). So each partition's event is logged by hand
as it finishes, which also keeps what is done when the run dies, and the automatic events are
suppressed by a private metadata key. A test asserts that one partition gives one event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from recap_assets.orchestration.building import Built
from recap_assets.orchestration.planner import OUTSIDE, Record

DATA_VERSION = "dagster/data_version"
USER_PROVIDED = "dagster/data_version_is_user_provided"
CODE_VERSION = "dagster/code_version"
INPUT_VERSION = "dagster/input_data_version/"
INPUT_EVENT = "dagster/input_event_pointer/"
OUTSIDE_VERSION = "recap/outside_version"
FINGERPRINT = "recap/fingerprint"
N_ROWS = "recap/n_rows"
REJECTED = "rejected/"

NO_AUTOMATIC_EVENTS = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
_BATCH = 1_000


def materialization(key: dg.AssetKey, partition: str, built: Built) -> dg.AssetMaterialization:
    """The event of one finished partition."""
    outcome = built.outcome
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(outcome.n_rows),
        "rejected": dg.MetadataValue.int(sum(outcome.rejected.values())),
        "seconds": dg.MetadataValue.float(round(built.seconds, 3)),
        "rewritten": dg.MetadataValue.bool(outcome.table_version is not None),
    }
    for reason, n in outcome.rejected.items():
        metadata[f"{REJECTED}{reason}"] = dg.MetadataValue.int(n)
    for name, fact in outcome.facts.items():
        metadata[name] = dg.MetadataValue.text(fact) if isinstance(fact, str) else _number(fact)
    for name, text in outcome.markdown.items():
        metadata[name] = dg.MetadataValue.md(text)
    if outcome.table_version is not None:
        metadata["delta_version"] = dg.MetadataValue.int(outcome.table_version)
    return dg.AssetMaterialization(
        key, partition=partition or None, metadata=metadata, tags=_tags(built)
    )


def _number(value: float) -> dg.MetadataValue:
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    return dg.MetadataValue.float(value)


def _tags(built: Built) -> dict[str, str]:
    record = built.record
    tags = {
        DATA_VERSION: record.data_version,
        USER_PROVIDED: "true",
        CODE_VERSION: record.code_version,
        FINGERPRINT: record.fingerprint,
        N_ROWS: str(record.n_rows),
    }
    for name, version in record.inputs.items():
        # Dagster's own staleness reads its tags, and takes every name there for an asset.
        tags[OUTSIDE_VERSION if name == OUTSIDE else f"{INPUT_VERSION}{name}"] = version
    return tags | {f"{INPUT_EVENT}{name}": str(i) for name, i in built.input_events.items()}


@dataclass(frozen=True)
class Remembered:
    """One materialization: its record, and what people ask about it."""

    record: Record
    built_at: datetime
    seconds: float
    rejected: Mapping[str, int]
    run_id: str


class DagsterRecords:
    """The records in a Dagster instance's event log, each event read once."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._by_storage_id: dict[int, Remembered] = {}

    def latest(self, asset: str) -> Mapping[str, Record]:
        """The last record of each partition of an asset."""
        return {key: remembered.record for key, remembered in self.remembered(asset).items()}

    def remembered(self, asset: str) -> Mapping[str, Remembered]:
        """The last materialization of each partition of an asset."""
        key = dg.AssetKey(asset.split("/"))
        ids = self._latest_ids(key)
        unseen = [i for i in ids.values() if i not in self._by_storage_id]
        for start in range(0, len(unseen), _BATCH):
            self._read(key, unseen[start : start + _BATCH])
        return {
            partition: self._by_storage_id[i]
            for partition, i in ids.items()
            if i in self._by_storage_id
        }

    def _latest_ids(self, key: dg.AssetKey) -> dict[str, int]:
        by_partition = self._instance.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        if by_partition:
            return dict(by_partition)
        event = self._instance.get_latest_materialization_event(key)
        if event is None or event.asset_materialization is None:
            return {}
        records = self._instance.fetch_materializations(key, limit=1).records
        return {"": records[0].storage_id} if records else {}

    def _read(self, key: dg.AssetKey, storage_ids: Sequence[int]) -> None:
        found = self._instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, storage_ids=list(storage_ids)),
            limit=len(storage_ids),
        )
        for row in found.records:
            event = row.asset_materialization
            if event is not None and event.tags and FINGERPRINT in event.tags:
                self._by_storage_id[row.storage_id] = _remembered(row, event)


def _remembered(row: dg.EventLogRecord, event: dg.AssetMaterialization) -> Remembered:
    values = {name: value.value for name, value in event.metadata.items()}
    rejected = {
        name.removeprefix(REJECTED): value
        for name, value in values.items()
        if name.startswith(REJECTED) and isinstance(value, int)
    }
    seconds = values.get("seconds")
    return Remembered(
        record=_record(event.tags or {}, row.storage_id),
        built_at=datetime.fromtimestamp(row.timestamp, UTC),
        seconds=seconds if isinstance(seconds, float) else 0.0,
        rejected=rejected,
        run_id=row.run_id,
    )


def _record(tags: Mapping[str, str], event_id: int) -> Record:
    inputs = {
        name.removeprefix(INPUT_VERSION): version
        for name, version in tags.items()
        if name.startswith(INPUT_VERSION)
    }
    if OUTSIDE_VERSION in tags:
        inputs[OUTSIDE] = tags[OUTSIDE_VERSION]
    return Record(
        data_version=tags[DATA_VERSION],
        fingerprint=tags[FINGERPRINT],
        code_version=tags[CODE_VERSION],
        inputs=inputs,
        n_rows=int(tags.get(N_ROWS, 0)),
        event_id=event_id,
    )
