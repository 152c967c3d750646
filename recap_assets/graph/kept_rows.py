"""Rows that were computed before: what recognizes them, where they are, and which can be had.

A row is recognized by what its asset is set to (`settings_digest`), by what computed it
(`class_of`), and by the hash of what it was computed from, the column `input_hash`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby

import polars as pl

from recap_assets.artefacts.table import HASH, Table
from recap_assets.graph.stored_keys import WantedKeys
from recap_assets.storage.content import slice_version
from recap_assets.storage.errors import StorageError
from recap_assets.storage.locations import is_url
from recap_assets.storage.log_entries import files_added
from recap_assets.storage.tables import TableStore

HASH_BYTES = 16
MOST_LOOKS = 8
"""Versions of one table that are searched beside the present one, the newest first."""

UNREADABLE = (StorageError, OSError, pl.exceptions.ComputeError, pl.exceptions.PanicException)
"""What reading a table may raise; damaged files make polars panic."""

_CPU = ("recap.torch", "recap.torch_threads", "recap.torch_kernels", "recap.processor")
_GPU = ("recap.torch", "recap.gpu_device", "recap.gpu_capability")

UNKNOWN_GPU: Mapping[str, str] = {"recap.gpu": "not known"}
"""What is recorded where a library may have computed on a GPU that it does not describe."""


@dataclass(frozen=True)
class ByRow:
    """How the rows of an asset are recognized when they are wanted once more.

    The asset's other inputs of the same partition must all be in `input_hash`, or not decide rows.

    Attributes:
        table: What they are rows of.
        by_uid: Whether the uid decides a row beside its hash, as where it seeds a draw.
        names: Entries of `Node.decides` that name something and decide no row.
        retried: The rows that are computed again, such as failures; none where it is None.
        is_outside_hashed: Whether rows are recognized by all that is read from outside, so that its
            version is no setting. A plan does not read it, and counts no such rows.
    """

    table: Table
    by_uid: bool = False
    names: tuple[str, ...] = ()
    retried: pl.Expr | None = field(default=None, compare=False)
    is_outside_hashed: bool = False

    @property
    def on(self) -> tuple[str, ...]:
        """Columns by which a stored row is that of a wanted one."""
        return ("uid", HASH) if self.by_uid else (HASH,)


@dataclass(frozen=True)
class KeptSlice:
    """A slice that was computed under equal settings, as its receipt describes it.

    Attributes:
        tables: Where it is, or was.
        at: The slice; the column that names the partition is the last one.
        written: Delta version of the table from which on it could be read.
        replaced: The version that replaced it; None where no receipt says so.
        data_version: Hash of its content.
        n_rows: Its rows.
        seconds: What computing it took.
        device: What computed it: `cpu`, or a GPU's name.
        machine: Its provenance.
        whose: Where rows of it are from, for people.
        is_own: Whether it is the partition's own.
    """

    tables: TableStore
    at: Mapping[str, str | int]
    written: int
    replaced: int | None
    data_version: str
    n_rows: int
    seconds: float
    device: str
    machine: Mapping[str, str]
    whose: str
    is_own: bool = False

    @property
    def column(self) -> str:
        """The column that names the partition, the last one: `partition`, or `seed`."""
        *_, last = self.at
        return last

    @property
    def partition(self) -> str:
        """The partition whose slice it is."""
        return str(self.at[self.column])

    @property
    def names(self) -> tuple[tuple[str, str | int], ...]:
        """The slice without the partition."""
        return tuple((name, value) for name, value in self.at.items() if name != self.column)


def settings_digest(
    implementation: int,
    decides: Mapping[str, object],
    names: Sequence[str],
    inputs: Mapping[str, str],
) -> str:
    """Hash of what decides all rows of an asset.

    Args:
        implementation: Version of the code.
        decides: The settings.
        names: Those of them that decide no row.
        inputs: Versions of what is read as a whole, such as models, and of files.
    """
    settings = {name: value for name, value in decides.items() if name not in names}
    text = json.dumps([implementation, settings, dict(inputs)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def class_of(machine: Mapping[str, str]) -> Mapping[str, str] | None:
    """What of a provenance decides the last bits: nothing where torch computed nothing.

    None where it is not known, and so no row is that of another computation.
    """
    if UNKNOWN_GPU.items() <= machine.items():
        return None
    if "recap.torch_kernels" not in machine:
        return {}
    names = _GPU if "recap.gpu_device" in machine else _CPU
    return {name: machine[name] for name in names if name in machine}


def input_hashes(frame: pl.DataFrame, *columns: str) -> pl.Series:
    """16 bytes for what is in the columns of each row; null where one of them is.

    Args:
        frame: Of one column `sha256` the hash is the beginning of it.
        columns: Texts or bytes.

    What mixes words of a row faster than blake2b has known collisions, and whoever makes texts or
    images could have one taken for another.
    """
    if columns == ("sha256",):
        return frame["sha256"].bin.slice(0, HASH_BYTES).alias(HASH)
    parts = [frame[column].cast(pl.Binary) for column in columns]
    found = [_hash(row) for row in zip(*parts, strict=True)]
    return pl.Series(HASH, found, pl.Binary)


def _hash(parts: Sequence[bytes | None]) -> bytes | None:
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    for part in parts:
        if part is None:
            return None
        digest.update(b"%d " % len(part))
        digest.update(part)
    return digest.digest()


def readable(
    table: Table, kept: Sequence[KeptSlice], wanted: Callable[[], pl.DataFrame]
) -> Iterator[tuple[KeptSlice, int | None]]:
    """The slices that have rows with keys that are wanted, and the version to read each at.

    Of each table only the keys are read, at as few versions as have all slices.

    Args:
        table: The table.
        kept: The slices.
        wanted: Gives the keys that are still wanted; where there is none the search ends.
    """
    of_asset = sorted(kept, key=lambda one: (one.tables.root, str(one.names)))
    for _, group in groupby(of_asset, lambda one: (one.tables.root, one.names)):
        for version, slices in _looks(table, list(group)):
            keys = wanted()
            if keys.is_empty():
                return
            with suppress(*UNREADABLE):
                partitions = _scanned if is_url(slices[0].tables.root) else _searched
                found = partitions(table, slices, version, keys)
                yield from ((one, version) for one in slices if one.partition in found)


def _looks(table: Table, kept: Sequence[KeptSlice]) -> Iterator[tuple[int | None, list[KeptSlice]]]:
    """Versions of a table with the slices that are searched at each; None: the present one."""
    present = _present(table, kept[0])
    now = [one for one in kept if one.replaced is None and one.partition in present]
    if now:
        yield None, now
    left = [*_without(kept, now), *_changed(table, now)]
    for _ in range(MOST_LOOKS):
        if not left:
            return
        version = max(one.written for one in left)
        there = [one for one in left if one.replaced is None or version < one.replaced]
        yield version, there
        left = _without(left, there)


def _without(slices: Sequence[KeptSlice], some: Sequence[KeptSlice]) -> list[KeptSlice]:
    found = set(map(id, some))
    return [one for one in slices if id(one) not in found]


def _present(table: Table, one: KeptSlice) -> set[str]:
    """The partitions whose slices are there now and whole, of the asset of one."""
    leading = dict(one.names)
    with suppress(*UNREADABLE):
        lost = {at[one.column] for at in one.tables.lost(table, leading)}
        return set(one.tables.files_of(table, None, leading)) - lost
    return set()


def _changed(table: Table, slices: Sequence[KeptSlice]) -> list[KeptSlice]:
    """Those of the slices that were replaced, though no receipt says so yet."""
    if not slices:
        return []
    tables, version = slices[0].tables, max(one.written for one in slices)
    with suppress(*UNREADABLE):
        leading = dict(slices[0].names)
        now = tables.files_of(table, None, leading)
        if (added := files_added(tables.uri(table), version)) is not None:
            return [one for one in slices if not added.isdisjoint(now.get(one.partition, ()))]
        then = tables.files_of(table, version, leading)
        return [one for one in slices if now.get(one.partition) != then.get(one.partition)]
    return []


def _searched(
    table: Table, slices: Sequence[KeptSlice], version: int | None, wanted: pl.DataFrame
) -> set[str]:
    """The partitions of some slices of an asset that have rows with keys that are wanted."""
    tables, keys = slices[0].tables, WantedKeys(wanted)
    files = tables.files_of(table, version, dict(slices[0].names))
    folder, found = tables.uri(table), set[str]()
    for partition in {one.partition for one in slices}:
        with suppress(*UNREADABLE):
            if keys.are_in(f"{folder}/{path}" for path in files.get(partition, ())):
                found.add(partition)
    return found


def _scanned(
    table: Table, slices: Sequence[KeptSlice], version: int | None, wanted: pl.DataFrame
) -> set[str]:
    """As `_searched`, in an object store, of which the fewest requests are made so."""
    keys = wanted.unique()
    rows = slices[0].tables.scan(table, version, **dict(slices[0].names))
    partition = pl.col(slices[0].column).cast(pl.String)
    of_these = rows.filter(partition.is_in([one.partition for one in slices]))
    found = of_these.select(partition, *wanted.columns).join(
        keys.lazy(), on=wanted.columns, how="semi"
    )
    return set(found.select(partition.unique()).collect(engine="streaming").to_series())


def read_kept(table: Table, one: KeptSlice, version: int | None) -> pl.DataFrame | None:
    """The rows of a slice; None where they are not there any more as they were.

    Args:
        table: The table.
        one: The slice.
        version: Where it should be; None: in the present version, where nothing replaced it since.
    """
    for at in (version,) if version is not None else (None, one.written):
        with suppress(*UNREADABLE):
            rows = one.tables.read(table, at, **one.at)
            if slice_version(table, rows) == one.data_version:
                return rows
    return None
