"""The file of what was read of Dagster's event log, and reading it without Dagster.

Events never change, so what was read of them stays true. Whether all of it was read, SQLite says
in a millisecond, where importing Dagster takes a second and a half: a command that only reads takes
the records from the file where the event log is as it was.
"""

import io
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from recap_assets.defs.damaged_files import SUSPECT
from recap_assets.defs.storage_files import EVENT_LOG, RECORDS_READ
from recap_assets.graph.records import Implementation, Inputs, Record, StoredRecords
from recap_assets.storage.files import write_atomically

_SCHEMA = pl.Schema(
    {
        "asset": pl.String,
        "partition": pl.String,
        "event_id": pl.Int64,
        "data_version": pl.String,
        "code_version": pl.String,
        "names": pl.List(pl.String),
        "versions": pl.List(pl.String),
        "n_rows": pl.Int64,
        "seconds": pl.Float64,
        "n_bytes": pl.Int64,
        "gpu_seconds": pl.Float64,
        "built_at": pl.Float64,
        "rejected": pl.String,
        "facets": pl.List(pl.String),
        "facet_versions": pl.List(pl.String),
        "read": pl.List(pl.String),
    }
)
# The newest materialization, how many there are, and the last time that an asset was wiped.
_STATE = """
SELECT max(id), count(*),
  (SELECT timestamp FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'
   ORDER BY id DESC LIMIT 1),
  (SELECT max(wipe_timestamp) FROM asset_keys)
FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'
"""


def state_of_log(storage: Path) -> str:
    """What changes with each materialization and wipe in an event log of SQLite.

    Args:
        storage: Folder of Dagster's storage.

    Returns:
        A text that is another one after each; empty where there is no such log, or a damaged one.
    """
    path = storage / EVENT_LOG
    if not path.is_file() or (storage / SUSPECT).exists():
        return ""
    try:
        with closing(sqlite3.connect(path, timeout=1)) as connection:
            return json.dumps(connection.execute(_STATE).fetchone())
    except sqlite3.Error:
        return ""


_AS_FAR_AS = """
SELECT count(*), (SELECT timestamp FROM event_logs WHERE id = :newest)
FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND id <= :newest
"""


def goes_on_from(storage: Path, state: str) -> bool:
    """Whether an event log has all that it had in a state, and more than that only after it.

    One that was recreated, or is an older copy, may have other events under the same numbers.

    Args:
        storage: Folder of Dagster's storage.
        state: As `state_of_log` gave it; empty where nothing is known of it.
    """
    if not state:
        return True
    newest, n_events, at, _ = json.loads(state)
    path = storage / EVENT_LOG
    if newest is None or not path.is_file():
        return newest is None
    try:
        with closing(sqlite3.connect(path, timeout=1)) as connection:
            found = connection.execute(_AS_FAR_AS, {"newest": newest}).fetchone()
    except sqlite3.Error:
        return False
    return found == (n_events, at)


@dataclass(frozen=True)
class RecordsFile:
    """What a process read of an event log, as a process before it left it.

    Attributes:
        frame: A row for each partition's last record.
        state: `state_of_log` before it was read; empty where the log is none of SQLite's.
        assets: All that were asked about, also those of which there was no record.
        implementations: What code versions stood for, of events that were read whole.
    """

    frame: pl.DataFrame
    state: str = ""
    assets: frozenset[str] = frozenset()
    implementations: Mapping[str, Implementation] = field(default_factory=dict[str, Implementation])

    @classmethod
    def read(cls, storage: Path) -> "RecordsFile | None":
        """That in a folder; None where there is none, or one of another version."""
        path = storage / RECORDS_READ
        try:
            frame = pl.read_parquet(path)
            more = pl.read_parquet_metadata(path)
            assets: list[str] = json.loads(more.get("assets", "[]"))
            stood_for: dict[str, tuple[int, str]] = json.loads(more.get("implementations", "{}"))
            known = {version: Implementation(*one) for version, one in stood_for.items()}
        except (OSError, ValueError, TypeError, pl.exceptions.PolarsError):
            return None
        if frame.schema != _SCHEMA:
            return None
        return cls(frame, more.get("state", ""), frozenset(assets), known)

    @classmethod
    def of(
        cls, records: Mapping[str, Mapping[str, Record]], state: str, assets: Iterable[str]
    ) -> "RecordsFile":
        """Those in memory."""
        rows = [
            (
                asset, partition, r.event_id, r.data_version, r.code_version, r.inputs.names,
                r.inputs.versions, r.n_rows, r.seconds, r.n_bytes, r.gpu_seconds, r.built_at,
                json.dumps(r.rejected) if r.rejected else "", *r.facets, r.read,
            )
            for asset, of_asset in records.items()
            for partition, r in of_asset.items()
        ]  # fmt: skip
        return cls(pl.DataFrame(rows, schema=_SCHEMA, orient="row"), state, frozenset(assets))

    def write(self, storage: Path) -> None:
        """Put it into the folder."""
        buffer = io.BytesIO()
        more = {
            "state": self.state,
            "assets": json.dumps(sorted(self.assets)),
            "implementations": json.dumps(dict(self.implementations)),
        }
        self.frame.write_parquet(buffer, compression="zstd", metadata=more)
        write_atomically(storage / RECORDS_READ, buffer.getvalue())

    def by_asset(self) -> Iterator[tuple[str, dict[str, Record]]]:
        """The records of each asset of which there are some, by partition."""
        for (asset,), rows in self.frame.group_by("asset", maintain_order=True):
            yield str(asset), dict(_records_in(rows))


class KeptRecords:
    """Records of a file that holds all there is to know; Dagster is asked for what is beyond.

    Args:
        file: The file, read while the log was in the state that it names.
        ask: Opens Dagster's own records.
    """

    def __init__(self, file: RecordsFile, ask: Callable[[], StoredRecords]) -> None:
        self._records = dict(file.by_asset())
        self._implementations = file.implementations
        self._ask = ask

    @cached_property
    def _asked(self) -> StoredRecords:
        return self._ask()

    def look(self, assets: Iterable[str]) -> None:
        """The file was looked at already."""

    def save(self) -> None:
        """It is in the file."""

    def latest(self, asset: str) -> Mapping[str, Record]:
        """The last record of each partition."""
        return self._records.get(asset, {})

    def implementation(self, asset: str, record: Record) -> Implementation | None:
        """What the code version of a record stood for, from the file or its event."""
        if (found := self._implementations.get(record.code_version)) is not None:
            return found
        return self._asked.implementation(asset, record)

    def facts(self, asset: str, data_version: str) -> Mapping[str, str | float]:
        """Facts of an asset, from its events."""
        return self._asked.facts(asset, data_version)


def kept_records(
    storage: Path, assets: Collection[str], ask: Callable[[], StoredRecords]
) -> KeptRecords | None:
    """The records of assets from the file; None where the event log may hold others.

    Args:
        storage: Folder of Dagster's storage.
        assets: Those that will be asked about.
        ask: Opens Dagster's own records.
    """
    state = state_of_log(storage)
    if not state or (file := RecordsFile.read(storage)) is None:
        return None
    if file.state != state or not file.assets.issuperset(assets):
        return None
    return KeptRecords(file, ask)


def _records_in(rows: pl.DataFrame) -> Iterable[tuple[str, Record]]:
    columns = [rows[name].to_list() for name in rows.columns[1:]]
    for (
        partition, event_id, data_version, code_version, names, versions, n_rows, seconds,
        n_bytes, gpu_seconds, built_at, rejected, facets, facet_versions, read,
    ) in zip(*columns, strict=True):  # fmt: skip
        yield (
            partition,
            Record(
                data_version,
                code_version,
                Inputs(tuple(names), tuple(versions)),
                n_rows,
                event_id,
                seconds,
                n_bytes,
                gpu_seconds,
                built_at,
                tuple((reason, n) for reason, n in json.loads(rejected)) if rejected else (),
                Inputs(tuple(facets), tuple(facet_versions)),
                tuple(read),
            ),
        )
