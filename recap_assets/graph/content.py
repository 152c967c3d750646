"""Where the content of a stage's partitions is: slices of tables, or files."""

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from recap_assets.artefacts.facets import Facet
from recap_assets.artefacts.table import HASH, Table
from recap_assets.graph.former import Former
from recap_assets.graph.node import Look, Outcome, Place, Rows, Step
from recap_assets.storage.content import (
    facet_scheme,
    facet_version,
    files_version,
    slice_version,
)
from recap_assets.storage.errors import StorageError
from recap_assets.storage.files import directory_is_whole, replaced_directory
from recap_assets.storage.history import commits
from recap_assets.storage.listings import Groups
from recap_assets.storage.tables import DATA_VERSION, TableStore

FINGERPRINT = "recap.fingerprint"
ASSET = "recap.asset"
_REJECTED = "recap.rejected"
LAST_COMMITS = 200
"""Commits of a table among which one is looked for that was never recorded."""


class TablesLook:
    """The slices of each table as of the first question about it."""

    def __init__(self, tables: TableStore) -> None:
        self._tables = tables
        self._found: dict[str, Groups] = {}
        self._lost: dict[str, Groups] = {}

    def last_of(self, table: Table, leading: tuple[str, ...]) -> Collection[str]:
        """Values of the table's last slice column where the others have the values `leading`."""
        return self.groups(table).get(leading, frozenset())

    def lost_of(self, table: Table, leading: tuple[str, ...]) -> Collection[str]:
        """Those of `last_of` that have a file that is gone or cut."""
        if table.name not in self._lost:
            self._lost[table.name] = self._tables.lost_groups(table)
        return self._lost[table.name].get(leading, frozenset())

    def groups(self, table: Table) -> Mapping[tuple[str, ...], Collection[str]]:
        """Values of the last slice column, by the values of the others."""
        if table.name not in self._found:
            self._found[table.name] = self._tables.groups(table)
        return self._found[table.name]


@dataclass(frozen=True)
class StoredRows:
    """Content in one slice of a table for each partition.

    Attributes:
        tables: The tables of the workspace.
        table: The main table, whose rows decide the data version.
        at: Values of the slice columns that are the same for all partitions.
        beside: Tables with the same slices that hold what was derived on the way.
        version_of: Data version of the main slice's rows, with or without the columns that name
            the slice; by default that of all content.
        facets: Parts of the main slice's rows that have versions of their own, by name: what an
            edge may say that it reads (`Dependency.facets`).
    """

    tables: TableStore
    table: Table
    at: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[Table, ...] = ()
    version_of: Callable[[pl.DataFrame], str] | None = None
    facets: Mapping[str, Facet] = field(default_factory=dict)

    def present(self, look: Look) -> Collection[str]:
        """The partitions whose main slice has rows, and no slice a file that is gone or cut."""
        found = set(self._of(self.table, look.last_of))
        for table in self._all:
            found -= set(self._of(table, look.lost_of))
        return found

    def _of(
        self, table: Table, values_of: Callable[[Table, tuple[str, ...]], Collection[str]]
    ) -> Collection[str]:
        values = tuple(self.at[column] for column in table.slices if column in self.at)
        if len(values) == len(table.slices):
            *leading, last = values or ("",)
            return {""} if last in values_of(table, tuple(leading)) else frozenset()
        return values_of(table, values)

    def places(self, partition: str) -> tuple[Place, ...]:
        """The partition's slice of each table."""
        return tuple(Place(table, self._slice(table, partition)) for table in self._all)

    def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:
        """Hash of the main slice's rows."""
        at = self._slice(self.table, partition)
        version = table_versions.get(self.table.name)
        return self._version(self.tables.read(self.table, version=version, **at))

    def take_over(self, step: Step, former: Former) -> Outcome | None:
        """Make rows that were computed before the partition's content.

        Returns:
            None where they are not there any more as they were.

        Raises:
            StorageError: They cannot be read.
        """
        if any(table.name not in former.table_versions for table in self._all):
            return None
        main, *beside = (_former_rows(place, former) for place in self.places(step.partition))
        if self._version(main) != former.data_version:
            return None
        found = Rows(
            main, tuple(beside), former.rejected, former.described,
            device=former.device, machine=former.provenance,
        )  # fmt: skip
        return self.write(step, found)

    def still_has(self, partition: str, former: Former) -> bool:
        """Whether no file of its slices is gone or cut."""
        places = self.places(partition)
        if any(place.table.name not in former.table_versions for place in places):
            return False
        tables = former.there.tables
        return not any(tables.lost(one.table, former.slice_of(one.at)) for one in places)

    def _version(self, rows: pl.DataFrame) -> str:
        return self.version_of(rows) if self.version_of else slice_version(self.table, rows)

    def write(self, step: Step, found: Rows) -> Outcome:
        """Make what was found the partition's content, a transaction for each table.

        The main slice comes last: where it is there, so is what is beside it. Content that it is
        known to hold is not written again.

        Raises:
            StorageError: As `TableStore.replace`.
        """
        main, *others = self.places(step.partition)
        beside = [
            self.tables.replace(place.table, place.at, frame, commit=step.commit)
            for place, frame in zip(others, found.beside, strict=True)
        ]
        known = self._known(main, step.known_version)
        if known is not None and self._was_computed_from_others(main, found.frame):
            known = None
        facets = self._facets(main, step, found.frame)
        facts = {**step.commit, _REJECTED: json.dumps(dict(found.rejected))}
        written = self.tables.replace(
            main.table, main.at, found.frame, known_version=known, commit=facts
        )
        return Outcome(
            self.version_of(found.frame) if self.version_of else written.data_version,
            found.frame.height,
            found.rejected,
            found.facts,
            found.markdown,
            (written, *beside),
            found.device,
            found.machine,
            facets,
        )

    def _facets(self, main: Place, step: Step, rows: pl.DataFrame) -> dict[str, str]:
        """The version of each facet: a hash of it, or what it was recorded with while it stays.

        So what was recorded before the facet was, or was defined as it is now, holds on.
        """
        # A version that a stage defines itself is that of all its facets.
        whole = step.known_version
        if self.version_of and whole is not None and self.version_of(rows) == whole:
            return {name: step.known_facets.get(name, whole) for name in self.facets}
        parts = {name: of(rows) for name, of in self.facets.items()}
        now = {name: facet_version(part) for name, part in parts.items()}
        known, recorded = step.known_facets, step.known_version
        # Versions that were made alike can be compared; of the others, only the rows.
        doubtful = [
            name
            for name, version in now.items()
            if known.get(name) != version
            and not known.get(name, "").startswith(facet_scheme(parts[name]))
        ]
        held = self._recorded_rows(main, recorded) if doubtful else None
        if held is None or recorded is None:
            return now
        same = {n for n in doubtful if facet_version(self.facets[n](held)) == now[n]}
        return {n: known.get(n, recorded) if n in same else now[n] for n in now}

    def _recorded_rows(self, main: Place, recorded: str | None) -> pl.DataFrame | None:
        """The rows that the main slice holds, where they are those that were recorded."""
        # What cannot be read gives facets new versions, no more. Damaged files make polars panic.
        with suppress(StorageError, OSError, pl.exceptions.PanicException):
            rows = None if recorded is None else held_rows(self.tables, main)
            if rows is not None and self._version(rows) == recorded:
                return rows
        return None

    def committed(self, step: Step) -> Outcome | None:
        """What was committed of the partition with the step's fingerprint, and never recorded.

        Of the newest commits of the table, those that another process may have made just before it
        ended; None where there is none, or the slice has changed since.
        """
        main, *_ = self.places(step.partition)
        for done in commits(self.tables, main.table, most=LAST_COMMITS):
            facts = done.facts
            if facts.get(FINGERPRINT) == step.fingerprint and facts.get(ASSET) == step.asset:
                rows = held_rows(self.tables, main)
                return None if rows is None else self._as_committed(main, step, rows, facts)
        return None

    def _as_committed(
        self, main: Place, step: Step, rows: pl.DataFrame, facts: Mapping[str, str]
    ) -> Outcome | None:
        if slice_version(self.table, rows) != facts.get(DATA_VERSION) or _REJECTED not in facts:
            return None
        rejected = json.loads(facts[_REJECTED])
        return Outcome(
            self._version(rows), rows.height, rejected, {"found": "committed before"},
            facets=self._facets(main, step, rows),
        )  # fmt: skip

    def _known(self, main: Place, recorded: str | None) -> str | None:
        """Hash of all content that the main slice is known to hold, by what is recorded of it."""
        if self.version_of is None or recorded is None:
            return recorded
        # Rows may differ and have one version, so it takes a look at them.
        rows = held_rows(self.tables, main)
        if rows is None or self.version_of(rows) != recorded:
            return None
        return slice_version(main.table, rows)

    def _was_computed_from_others(self, main: Place, frame: pl.DataFrame) -> bool:
        """Whether equal rows were computed from something else: then they are written once more.

        Else they would pass for what the present settings make of what they were computed from.
        """
        if HASH not in frame.columns:
            return False
        held = held_rows(self.tables, main)
        columns = [*main.table.order, HASH]
        return held is None or not held.select(columns).equals(
            frame.select(columns).sort(main.table.order)
        )

    @property
    def _all(self) -> tuple[Table, ...]:
        return (self.table, *self.beside)

    def _slice(self, table: Table, partition: str) -> dict[str, str | int]:
        return table.slice_at(partition, self.at)


def _former_rows(place: Place, former: Former) -> pl.DataFrame:
    version = former.table_versions[place.table.name]
    tables = former.there.tables
    at = former.slice_of(place.at)
    if tables.lost(place.table, at):
        msg = f"a file of table {place.table.name} at {tables.uri(place.table)} is gone or cut"
        raise StorageError(msg)
    return tables.read(place.table, version, **at)


def held_rows(tables: TableStore, place: Place) -> pl.DataFrame | None:
    """The rows that a slice holds; None where it has none, or a file is gone or cut."""
    if not tables.has(place.table, place.at) or tables.lost(place.table, place.at):
        return None
    return tables.read(place.table, None, **place.at)


@dataclass(frozen=True)
class StoredFiles:
    """Content in files.

    Attributes:
        root: The folder that file names are taken from.
        files: The files of one partition, those that should be there.
        partitions: All partitions that there should be.
        is_versioned: Whether the files decide the data version.
        beside: Tables, with their slice of one partition, that hold what was derived on the way.
    """

    root: Callable[[str], Path]
    files: Callable[[str], Iterable[Path]]
    partitions: Callable[[], Iterable[str]] = lambda: ("",)
    is_versioned: bool = True
    beside: Callable[[str], tuple[Place, ...]] = lambda _partition: ()

    def present(self, look: Look) -> Collection[str]:
        """The partitions all of whose files are there, and whose tables have theirs."""
        return {
            key
            for key in self.partitions()
            if self._are_there(key) and not any(_is_lost(look, at) for at in self.beside(key))
        }

    def places(self, partition: str) -> tuple[Place, ...]:
        """The slices of what was derived on the way."""
        return self.beside(partition)

    def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:  # noqa: ARG002 - of the protocol
        """Hash of the files' names and bytes."""
        if not self.is_versioned:
            return None
        return files_version(self.files(partition), self.root(partition))

    def take_over(self, step: Step, former: Former) -> Outcome | None:
        """Copy files that were made before, where the partition's folder has nothing but them.

        Returns:
            None where they are not there any more as they were.

        Raises:
            StorageError: What was derived beside them cannot be read.
            OSError: They cannot be read, or there is no room for them.
        """
        folder = self.root(step.partition)
        theirs = former.place_of(folder)
        if not theirs.is_dir() or files_version(files_below(theirs), theirs) != former.data_version:
            return None
        beside = self.beside(step.partition)
        if any(place.table.name not in former.table_versions for place in beside):
            return None
        frames = [_former_rows(place, former) for place in beside]
        with replaced_directory(folder, listed=True) as new:
            shutil.copytree(theirs, new, dirs_exist_ok=True)
        written = tuple(
            former.here.tables.replace(place.table, place.at, frame, commit=step.commit)
            for place, frame in zip(beside, frames, strict=True)
        )
        return Outcome(
            files_version(files_below(folder), folder), former.n_rows, former.rejected,
            former.described, written=written, device=former.device, machine=former.provenance,
        )  # fmt: skip

    def still_has(self, partition: str, former: Former) -> bool:
        """Whether the files that were made last are those, and each is as long as it was."""
        if any(one.table.name not in former.table_versions for one in self.beside(partition)):
            return False
        theirs = former.place_of(self.root(partition))
        return former.is_last and theirs.is_dir() and directory_is_whole(theirs) is not False

    def _are_there(self, partition: str) -> bool:
        files = list(self.files(partition))
        is_there = bool(files) and all(path.exists() for path in files)
        return is_there and directory_is_whole(self.root(partition)) is not False


def _is_lost(look: Look, place: Place) -> bool:
    *leading, last = [str(place.at[column]) for column in place.table.slices] or [""]
    return last in look.lost_of(place.table, tuple(leading))


def files_below(folder: Path) -> list[Path]:
    """All files below a folder; none where it is not there."""
    return [path for path in folder.rglob("*") if path.is_file()]
