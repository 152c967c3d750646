"""The records in a Dagster instance's event log, each event read once.

Events never change, so what was read is kept: in memory, and in a file beside the instance's
storage, since reading hundreds of thousands of events takes a minute.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import dagster as dg
import polars as pl
from dagster._core.storage.event_log.base import AssetEntry

from recap_assets.defs.events import Materialized
from recap_assets.defs.kept_records import RecordsFile, goes_on_from, state_of_log
from recap_assets.defs.remembering import remember
from recap_assets.graph.records import NO_VERSIONS, Implementation, Inputs, Record

CACHED_AFTER = 5_000
"""New records that are worth writing the file of a large pool again."""
KEPT_WHOLE_UP_TO = 20_000
"""Records up to which the file is written for a single new one."""
FACTS_LOOKED_AT = 50
_BATCH = 1_000
# On PostgreSQL an event may become visible after one with a higher number.
_OVERLAP = 1_000


class DagsterRecords:
    """The last record of every partition, as the instance's events record.

    Args:
        instance: Dagster's instance.
        folder: Where the file of what was read is; None: it is kept in memory only.
    """

    def __init__(self, instance: dg.DagsterInstance, folder: Path | None = None) -> None:
        self._instance = instance
        remember(instance)
        self._folder = folder
        self._records: dict[str, dict[str, Record]] = {}
        self._cursors: dict[str, int] = {}
        self._looked_at: dict[str, AssetEntry | None] = {}
        self._asked_about: set[str] = set()
        self._implementations: dict[str, Implementation] = {}
        self._n_unsaved = 0
        self._interned: dict[str, str] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._state = state_of_log(folder) if folder else ""
        file = RecordsFile.read(folder) if folder is not None else None
        if folder is not None and file is not None and goes_on_from(folder, file.state):
            self._load(file)

    def look(self, assets: Iterable[str]) -> None:
        """Look at many assets at once, for the next `latest` of each; a look at one costs 10 ms."""
        names = list(assets)
        found = self._instance.get_asset_records([dg.AssetKey(name.split("/")) for name in names])
        entries = {"/".join(row.asset_entry.asset_key.path): row.asset_entry for row in found}
        self._looked_at |= {name: entries.get(name) for name in names}
        self._asked_about.update(names)

    def latest(self, asset: str) -> Mapping[str, Record]:
        """The last record of each partition of an asset."""
        key = dg.AssetKey(asset.split("/"))
        if asset not in self._looked_at:
            self.look([asset])
        entry = self._looked_at.pop(asset)
        newest = entry.last_materialization_record if entry else None
        last = newest.storage_id if newest else None
        cursor = self._cursors.get(asset, 0)
        if last is None or last < cursor:
            # The asset was wiped, or the whole instance is another one than the file describes.
            self._records.pop(asset, None)
            cursor = 0
        if newest is not None and newest.storage_id > cursor:
            self._read_news(asset, key, cursor, newest)
        self._cursors[asset] = last or 0
        details = entry.asset_details if entry else None
        if details is not None and details.last_wipe_timestamp is not None:
            self._forget_before(asset, details.last_wipe_timestamp)
        return self._records.get(asset, {})

    def implementation(self, asset: str, record: Record) -> Implementation | None:
        """What the code version of a record stood for."""
        if record.code_version not in self._implementations:
            for event in self.events(asset, [record.event_id]):
                self._implementations[event.code_version] = event.implementation
        return self._implementations.get(record.code_version)

    def facts(self, asset: str, data_version: str) -> Mapping[str, str | float]:
        """Facts of an asset without partitions when it had this data version; empty if unknown."""
        key = dg.AssetKey(asset.split("/"))
        rows = self._instance.fetch_materializations(key, limit=FACTS_LOOKED_AT).records
        for event in map(Materialized, rows):
            if event.is_ours and event.data_version == data_version:
                return event.account.facts
        return {}

    def events(self, asset: str, ids: Sequence[int]) -> Iterator[Materialized]:
        """Our materializations of an asset with these numbers, whole."""
        return self._events(dg.AssetKey(asset.split("/")), ids)

    def event(self, asset: str, partition: str) -> Materialized | None:
        """The last materialization of a partition as of the last look, whole; None if not ours."""
        record = self._records.get(asset, {}).get(partition)
        if record is None:
            return None
        return next(self.events(asset, [record.event_id]), None)

    def save(self) -> None:
        """Keep what was read in the file, where enough of it is new.

        Of a pool that is not large everything is kept that there is now, so that the next command
        needs no more than the file.
        """
        if self._folder is None:
            return
        n_records = sum(map(len, self._records.values()))
        if n_records > KEPT_WHOLE_UP_TO and self._n_unsaved < CACHED_AFTER:
            return
        if n_records <= KEPT_WHOLE_UP_TO:
            self._catch_up(self._folder)
        file = replace(
            RecordsFile.of(self._records, self._state, self._asked_about),
            implementations=self._implementations,
        )
        kept = RecordsFile.read(self._folder)
        if (
            kept is None
            or self._n_unsaved
            or (kept.state, kept.assets) != (file.state, file.assets)
        ):
            file.write(self._folder)
        self._n_unsaved = 0

    def _catch_up(self, folder: Path) -> None:
        """Read what was recorded since the first look, by others too."""
        state = state_of_log(folder)
        if state == self._state:
            return
        self.look(self._asked_about)
        for asset in self._asked_about:
            self.latest(asset)
        self._state = state

    def _read_news(
        self, asset: str, key: dg.AssetKey, cursor: int, newest: dg.EventLogRecord
    ) -> None:
        records = self._records.setdefault(asset, {})
        known = {record.event_id for record in records.values()} if cursor else set()
        ids = [i for i in self._newest_ids(key, cursor, newest) if i not in known]
        others = self._events(key, [i for i in ids if i != newest.storage_id])
        for event in (*others, *(_ours([newest]) if newest.storage_id in ids else ())):
            record = self._compact(event.record)
            if (stood_for := event.implementation) is not None:
                self._implementations[event.code_version] = stood_for
            if (old := records.get(event.partition)) is None or old.event_id < record.event_id:
                records[event.partition] = record
        self._n_unsaved += len(ids)

    def _newest_ids(self, key: dg.AssetKey, cursor: int, newest: dg.EventLogRecord) -> list[int]:
        """The newest event of each partition that has one after the cursor."""
        if any(event.partition == "" for event in _ours([newest])):
            return [newest.storage_id]
        by_partition = self._instance.get_latest_storage_id_by_partition(
            key,
            dg.DagsterEventType.ASSET_MATERIALIZATION,
            after_cursor=max(0, cursor - _OVERLAP) if cursor else None,
        )
        if by_partition:
            return sorted(by_partition.values())
        return [newest.storage_id]

    def _events(self, key: dg.AssetKey, ids: Sequence[int]) -> Iterator[Materialized]:
        for start in range(0, len(ids), _BATCH):
            batch = list(ids[start : start + _BATCH])
            found = self._instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=key, storage_ids=batch), limit=len(batch)
            )
            yield from _ours(found.records)

    def _forget_before(self, asset: str, moment: float) -> None:
        records = self._records.get(asset, {})
        for partition in [key for key, one in records.items() if one.built_at < moment]:
            del records[partition]

    def _compact(self, record: Record) -> Record:
        """The record with its strings shared: an input's version is its upstream's data version."""
        share = self._interned.setdefault
        names = self._names.setdefault(record.inputs.names, record.inputs.names)
        versions = self._shared(record.inputs.versions)
        facets = self._names.setdefault(record.facets.names, record.facets.names)
        return Record(
            share(record.data_version, record.data_version),
            share(record.code_version, record.code_version),
            Inputs(names, versions),
            record.n_rows,
            record.event_id,
            record.seconds,
            record.n_bytes,
            record.gpu_seconds,
            record.built_at,
            record.rejected,
            Inputs(facets, self._shared(record.facets.versions)) if facets else NO_VERSIONS,
            self._shared(record.read),
        )

    def _shared(self, versions: tuple[str, ...]) -> tuple[str, ...]:
        share = self._interned.setdefault
        return tuple([share(version, version) for version in versions])

    def _load(self, file: RecordsFile) -> None:
        if not self._is_of_this_instance(file.frame):
            return
        self._implementations |= file.implementations
        for name, records in file.by_asset():
            self._records[name] = {key: self._compact(one) for key, one in records.items()}
            self._cursors[name] = max(one.event_id for one in records.values())

    def _is_of_this_instance(self, frame: pl.DataFrame) -> bool:
        newest = frame.sort("event_id").tail(1)
        for asset, event_id, version in newest["asset", "event_id", "data_version"].iter_rows():
            found = self.events(asset, [event_id])
            return any(event.data_version == version for event in found)
        return False


def newest_event(instance: dg.DagsterInstance) -> int:
    """A number that every later event exceeds."""
    return instance.event_log_storage.get_maximum_record_id() or 0


def _ours(rows: Sequence[dg.EventLogRecord]) -> Iterator[Materialized]:
    return (event for event in map(Materialized, rows) if event.is_ours)
