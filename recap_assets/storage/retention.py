"""What a table keeps and what goes: old versions, crash orphans, small files, old log entries.

What Delta (deltalake 1.6.6) does by itself, as measured, and what follows from it:

- Vacuum spares a file for a week after the commit that replaced it, and a file that no commit
  names for a week after it was written, since a running writer may be about to commit it. A
  shorter time is never asked for. With `full=True` it finds the orphans of killed writers too.
- Cleaning the log (`delta.logRetentionDuration`, 30 days) deletes every entry below the last
  checkpoint that is older, and with it the means to read an older version: of 26 versions aged
  40 days with checkpoints at 9 and 19, versions 0 to 18 could not be opened any more, though
  their data files were there. So every table is created with that cleaning off and the duration
  at ten years, and the entries are trimmed here instead, only below the oldest version that is
  kept and above a checkpoint of that very version. A commit's entry is 0.7 to 1.5 kB; a pin on an
  old version therefore costs the entries since, about 15 MB for 10,000 commits.
- Compaction conflicts with a replacement of the same slice (the later one of the two fails and
  tries again), never with an append.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, PostCommitHookProperties
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileInfo, FileSelector, FileType

from recap_assets.artefacts.table import HASH, Table
from recap_assets.storage.tables import StorageError, TableStore
from recap_assets.storage.written_files import writer_properties

GUARD = timedelta(days=7)
"""Delta's own: a file younger than this may belong to a writer or a reader that still runs."""

LOG_RETENTION = timedelta(days=30)
MANY_FILES = 8
SMALL_BYTES = 32 * 2**20

_LOG = "_delta_log/"
_LOG_ENTRY = re.compile(r"_delta_log/(\d{20})\..+")
_NO_CLEANUP = PostCommitHookProperties(cleanup_expired_logs=False)


@dataclass(frozen=True)
class Collected:
    """What went from one table, or would go.

    Attributes:
        table: The table's name.
        kept_versions: Versions that stay readable: those pinned, and the current one.
        n_files: Data files that no kept version needs.
        n_bytes: Their bytes.
        n_young_files: Files that no kept version needs either, but that are too young.
        n_young_bytes: Their bytes.
        n_small_files: Small files that were merged into larger ones.
        n_log_files: Entries of the log below all kept versions.
        n_log_bytes: Their bytes.
        n_rows: Rows of the data files, where builds take over rows of the table; 0 elsewhere.
        refused: Why nothing was touched; None where all went well.
    """

    table: str
    kept_versions: tuple[int, ...] = ()
    n_files: int = 0
    n_bytes: int = 0
    n_young_files: int = 0
    n_young_bytes: int = 0
    n_small_files: int = 0
    n_log_files: int = 0
    n_log_bytes: int = 0
    n_rows: int = 0
    refused: str | None = None


def collect(
    store: TableStore,
    tables: Iterable[Table],
    pinned: Mapping[str, Collection[int]],
    *,
    dry_run: bool,
    keep: timedelta = GUARD,
) -> list[Collected]:
    """Remove what no kept version needs, and merge small files.

    Args:
        store: The tables' store.
        tables: The tables to clean; those that do not exist are passed over.
        pinned: Versions that must stay readable, by table name; the current one always does.
        dry_run: Only report what would be deleted.
        keep: How long a replaced file and an orphan stay; not shorter than `GUARD`.

    Returns:
        For each table that exists what went. A table with a pinned version that cannot be opened
        is refused and left alone: which files that version needs is not known then.

    Raises:
        ValueError: `keep` is shorter than the guard.
        StorageError: A table cannot be opened or written.
    """
    if keep < GUARD:
        msg = f"files are kept for {GUARD.days} days at least, not {keep}: writers may need them"
        raise ValueError(msg)
    reports = []
    for table in tables:
        if (delta := store.open(table)) is None:
            continue
        versions = {*pinned.get(table.name, ()), delta.version()}
        try:
            reports.append(_Retention(store, table, versions, keep).run(dry_run=dry_run))
        except (DeltaError, OSError) as error:
            msg = f"table {table.name} at {store.uri(table)} cannot be cleaned: {error}"
            raise StorageError(msg) from error
    return reports


def compact(store: TableStore, table: Table, *, dry_run: bool = False) -> int:
    """Merge the small files of every slice that has many; how many files were merged.

    The content and the other versions stay as they are. Where a writer was quicker,
    the slice is left for the next time.
    """
    if (delta := store.open(table)) is None:
        return 0
    n_merged = 0
    for at, n in _crowded_slices(table, delta):
        if dry_run:
            n_merged += n
            continue
        try:
            done = delta.optimize.compact(
                partition_filters=[(name, "=", value) for name, value in at.items()] or None,
                writer_properties=writer_properties(table),
                post_commithook_properties=_NO_CLEANUP,
            )
        except CommitFailedError:
            continue
        n_merged += done["numFilesRemoved"]
    return n_merged


def _crowded_slices(table: Table, delta: DeltaTable) -> list[tuple[dict[str, str], int]]:
    adds = delta.get_add_actions(flatten=True)
    columns = [adds[f"partition.{name}"].to_pylist() for name in table.slices]
    sizes = adds["size_bytes"].to_pylist()
    places = zip(*columns, strict=True) if columns else [()] * len(sizes)
    small = Counter(at for at, size in zip(places, sizes, strict=True) if size < SMALL_BYTES)
    return [
        (dict(zip(table.slices, map(str, at), strict=True)), n)
        for at, n in small.items()
        if n >= MANY_FILES
    ]


class _Retention:
    """One table's cleaning."""

    def __init__(
        self, store: TableStore, table: Table, versions: Collection[int], keep: timedelta
    ) -> None:
        self._store, self._table = store, table
        self._versions = sorted(versions)
        self._keep = keep
        self._files = DeltaStorageHandler(store.uri(table), store.storage_options or None)

    def run(self, *, dry_run: bool) -> Collected:
        needed, lost = self._needed()
        if lost:
            return Collected(self._table.name, tuple(self._versions), refused=_lost(lost))
        if not dry_run:
            self._store.create(self._table)  # a table made by an earlier release learns its policy
        n_small = compact(self._store, self._table, dry_run=dry_run)
        sizes = self._sizes()
        unneeded = set(sizes) - needed - _paths(self._open())
        gone = self._vacuum(dry_run=True) if unneeded else []
        n_rows = self._reusable_rows(gone)
        if gone and not dry_run:
            gone = self._vacuum(dry_run=False)
        young = unneeded.difference(gone)
        log = self._trim_log(dry_run=dry_run)
        return Collected(
            self._table.name,
            tuple(self._versions),
            n_files=len(gone),
            n_bytes=sum(sizes.get(path, 0) for path in gone),
            n_young_files=len(young),
            n_young_bytes=sum(sizes[path] for path in young),
            n_small_files=n_small,
            n_log_files=len(log),
            n_log_bytes=sum(entry.size for entry in log),
            n_rows=n_rows,
        )

    def _needed(self) -> tuple[set[str], list[int]]:
        """Data files of the kept versions, and those versions that cannot be opened."""
        needed: set[str] = set()
        lost = []
        for version in self._versions:
            try:
                needed |= _paths(self._open(version))
            except StorageError:
                lost.append(version)
        return needed, lost

    def _open(self, version: int | None = None) -> DeltaTable:
        delta = self._store.open(self._table, version)
        assert delta is not None  # noqa: S101 - it was there a moment ago
        return delta

    def _sizes(self) -> dict[str, int]:
        found = self._files.get_file_info_selector(FileSelector("", recursive=True))
        return {
            info.path: info.size
            for info in found
            if info.type == FileType.File and not info.path.startswith(_LOG)
        }

    def _reusable_rows(self, paths: Iterable[str]) -> int:
        """The rows of some data files that builds recognize, by the files' footers."""
        n_rows = 0
        for path in paths if HASH in self._table.optional else ():
            # What cannot be read can be of no use to a build either.
            with suppress(OSError, pa.ArrowException):
                n_rows += _hashed_rows(pq.read_metadata(self._files.open_input_file(path)))
        return n_rows

    def _vacuum(self, *, dry_run: bool) -> list[str]:
        return self._open().vacuum(
            retention_hours=int(self._keep.total_seconds() // 3600),
            dry_run=dry_run,
            full=True,
            keep_versions=self._versions,
            post_commithook_properties=_NO_CLEANUP,
        )

    def _trim_log(self, *, dry_run: bool) -> list[FileInfo]:
        oldest = self._versions[0]
        limit = datetime.now(UTC) - max(LOG_RETENTION, self._keep)
        found = self._files.get_file_info_selector(FileSelector(_LOG.rstrip("/")))
        versions = {info.path: int(m[1]) for info in found if (m := _LOG_ENTRY.match(info.path))}
        young = [
            v for info in found if info.mtime >= limit and (v := versions.get(info.path, -1)) >= 0
        ]
        # A copied table may have newer files below older ones: what goes must be a clean prefix.
        end = min([oldest, *young])
        expired = [info for info in found if versions.get(info.path, end) < end]
        if not expired or dry_run:
            return expired
        # That of the current version comes last, since readers start at the last one written.
        for version in (end, None):
            self._open(version).create_checkpoint()
        for info in sorted(expired, key=lambda info: versions[info.path]):
            self._files.delete_file(info.path)
        return expired


def _hashed_rows(footer: pq.FileMetaData) -> int:
    """The rows of a file whose input hash is kept."""
    names = [footer.schema.column(i).path for i in range(footer.num_columns)]
    if HASH not in names:
        return 0
    n_rows = 0
    for group in map(footer.row_group, range(footer.num_row_groups)):
        statistics = group.column(names.index(HASH)).statistics
        n_rows += group.num_rows - (statistics.null_count or 0 if statistics else 0)
    return n_rows


def _paths(delta: DeltaTable) -> set[str]:
    return set(map(unquote, delta.get_add_actions()["path"].to_pylist()))


def _lost(versions: Collection[int]) -> str:
    listed = ", ".join(map(str, versions))
    return (
        f"version {listed} is pinned but cannot be opened, so what it needs is not known and "
        "nothing was removed; delete the receipt that pins it, or restore the table"
    )
