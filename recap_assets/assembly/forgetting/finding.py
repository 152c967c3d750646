"""Where samples are in a data folder: everything is found before anything is changed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from recap_assets.artefacts.catalogue import all_tables
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import Table
from recap_assets.assembly.forgetting.identity import Identity, chunk_of
from recap_assets.assembly.forgetting.matching import (
    TEXT_COLUMNS,
    UNTOUCHED,
    of_samples,
    touched,
)
from recap_assets.assembly.forgetting.places import Place
from recap_assets.assembly.forgetting.recorded import At, unrecorded
from recap_assets.assembly.forgetting.searching import (
    UNREADABLE,
    bytes_hold,
    cells_hold,
    files_below,
    holds,
)
from recap_assets.graph.parts import FOLDER as PARTS
from recap_assets.storage.purging import data_files, log_files

_ROUNDS = 8
"""Of uid to image to uid: enough for any pool, and an end for one that is made up."""

_MOST_IMAGE_BYTES = 2**28


@dataclass(frozen=True)
class Found:
    """What one experiment holds of the samples.

    Attributes:
        rows: Rows that go, or are set aside, in the present versions, by table.
        slices: The slices that have them, by table.
        purged: Tables whose history goes: some file of theirs holds a sample.
        mixes: Mixes that have, or had, a pair of a sample.
        shards: Numbers of the shards that hold a sample.
        files: Files beside the tables that hold one, below the data folder.
        unrecorded: Assets and partitions of these slices that hold something else than the lineage
            says, such as what a build wrote that was killed: they are built again.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    slices: Mapping[str, Sequence[At]] = field(default_factory=dict)
    purged: tuple[str, ...] = ()
    mixes: tuple[str, ...] = ()
    shards: tuple[int, ...] = ()
    files: tuple[str, ...] = ()
    unrecorded: tuple[tuple[str, str], ...] = ()

    @property
    def is_any(self) -> bool:
        """Whether there is anything."""
        return bool(self.purged or self.files or self.mixes or self.shards)


def tables_of_samples() -> list[Table]:
    """The tables that may hold a sample."""
    return [table for table in all_tables().values() if table.name not in UNTOUCHED]


def identify(places: Sequence[Place], named: Identity) -> Identity:
    """All names and texts of the samples that were named by some of them.

    Samples that share an image's bytes are one: who forgets it forgets all of them.
    """
    found = named
    for _ in range(_ROUNDS):
        before = found
        for place in places:
            found |= _of_pool(place, found)
        if found == before:
            break
    texts = frozenset(text for place in places for text in _texts(place, found))
    shared = frozenset(text for place in places for text in _shared(place, found, texts))
    images = frozenset(chunk for place in places for chunk in _images(place, found))
    return found | Identity(texts=texts, shared=shared, images=images)


def unknown(places: Sequence[Place], uids: Iterable[bytes]) -> list[bytes]:
    """The uids that no table of any experiment has."""
    left = set(uids)
    for place in places:
        for table in tables_of_samples():
            if not left or "uid" not in table.columns:
                continue
            for path in data_files(place.workspace.tables, table):
                left -= set(_column(path, "uid", pl.col("uid").is_in(sorted(left))))
    return sorted(left)


def near(places: Sequence[Place], uid: bytes, most: int = 3) -> list[str]:
    """Uids of pools that begin or end as an unknown one does, in hex: it may be a slip."""
    begins = (pl.col("uid").bin.starts_with(uid[:4])) | (pl.col("uid").bin.ends_with(uid[-4:]))
    found: set[bytes] = set()
    for place in places:
        rows = place.workspace.tables.scan(RAW_POOL).filter(begins).select("uid").head(most)
        found.update(rows.collect()["uid"])
    return [one.hex() for one in sorted(found)[:most]]


def in_place(place: Place, identity: Identity) -> Found:
    """What an experiment holds: its tables in all their versions, and its files."""
    store = place.workspace.tables
    rows: dict[str, int] = {}
    slices: dict[str, Sequence[At]] = {}
    purged = []
    for table in tables_of_samples():
        files = data_files(store, table)
        if not files:
            continue
        found = store.scan(table).filter(touched(table, table.schema, identity))
        if n := found.select(pl.len()).collect().item():
            rows[table.name] = n
            slices[table.name] = found.select(table.slices).unique().collect().to_dicts()
        logs = log_files(store, table)
        is_in = any(cells_hold(path, identity) for path in files) or any(
            bytes_hold(path, identity.log_needles) for path in logs
        )
        if n or is_in:
            purged.append(table.name)
    return Found(
        rows,
        slices,
        tuple(purged),
        tuple(_mixes(place, identity)),
        _shards(place, identity),
        tuple(_named(place, path) for path in files_with(place, identity)),
        tuple(unrecorded(place, slices)),
    )


def files_with(place: Place, identity: Identity) -> Iterator[Path]:
    """Files of an experiment that hold a sample, but for tables, events and what is being drawn."""
    workspace = place.workspace
    parts = Path(workspace.tables.root) / PARTS
    aside = (workspace.root / "tables", workspace.instance, workspace.receipts)
    for path in (*files_below(workspace.root), *files_below(parts)):
        is_aside = any(path.is_relative_to(one) for one in aside)
        if (path.is_relative_to(parts) or not is_aside) and holds(path, identity):
            yield path


def _named(place: Place, path: Path) -> str:
    data = place.workspace.data
    return str(path.relative_to(data)) if path.is_relative_to(data) else str(path)


def _of_pool(place: Place, identity: Identity) -> Identity:
    """What the pool says of its samples that are among these: uids and hashes."""
    uids: set[bytes] = set()
    hashes: set[bytes] = set()
    for path in data_files(place.workspace.tables, RAW_POOL):
        for uid, *both in _rows(path, identity, "uid", "sha256", "original_sha256"):
            uids.add(uid)
            hashes.update(one for one in both if one is not None)
    return Identity(frozenset(uids), frozenset(hashes))


def _texts(place: Place, identity: Identity) -> Iterator[str]:
    """All texts that the samples ever had, and where they were found."""
    for table in tables_of_samples():
        names = sorted((TEXT_COLUMNS | {"url"}) & table.columns.keys())
        for path in data_files(place.workspace.tables, table) if names else ():
            for row in _rows(path, identity, *names):
                yield from (text for text in row if text)


def _shared(place: Place, identity: Identity, texts: frozenset[str]) -> Iterator[str]:
    """Those of the texts that a sample which stays has in a present version."""
    wanted = pl.Series(sorted(texts), dtype=pl.String).implode()
    for table in tables_of_samples():
        names = sorted((TEXT_COLUMNS | {"url"}) & table.columns.keys())
        if not names:
            continue
        others = place.workspace.tables.scan(table).filter(~of_samples(table.schema, identity))
        for name in names:
            found = others.filter(pl.col(name).is_in(wanted)).select(pl.col(name).unique())
            yield from found.collect()[name]


def _mixes(place: Place, identity: Identity) -> Iterator[str]:
    """The mixes that have or had one of the samples: their names are in the paths of the files."""
    mixes = set()
    for path in data_files(place.workspace.tables, CURATED_MIXES):
        at = dict(part.split("=", 1) for part in path.parts if "=" in part)
        if at.get("mix") not in mixes and any(_rows(path, identity, "uid")):
            mixes.add(at["mix"])
    yield from sorted(mixes)


def _shards(place: Place, identity: Identity) -> tuple[int, ...]:
    rows = place.workspace.tables.scan(RAW_POOL)
    found = rows.filter(of_samples(RAW_POOL.schema, identity)).select(pl.col("shard").unique())
    return tuple(sorted(found.collect()["shard"]))


def _images(place: Place, identity: Identity) -> Iterator[bytes]:
    """A part of each image whose bytes are in a tar on this machine."""
    if place.project is None:
        return
    rows = place.workspace.tables.scan(RAW_POOL).filter(of_samples(RAW_POOL.schema, identity))
    placed = rows.select("shard", "offset", "size").drop_nulls().collect()
    shards = place.project.shards
    for number, offset, size in placed.iter_rows():
        path = Path(shards[number].url) if number in shards else None
        if path is not None and path.is_file() and size <= _MOST_IMAGE_BYTES:
            with path.open("rb") as file:
                file.seek(offset)
                if (chunk := chunk_of(file.read(size))) is not None:
                    yield chunk


def _rows(path: Path, identity: Identity, *names: str) -> list[tuple[Any, ...]]:
    """Columns of the rows of a file that are of the samples; none of a file that is damaged."""
    try:
        schema = pl.read_parquet_schema(path)
        wanted = [pl.col(name) if name in schema else pl.lit(None).alias(name) for name in names]
        scan = pl.scan_parquet(path, hive_partitioning=False)
        return scan.filter(of_samples(schema, identity)).select(wanted).collect().rows()
    except UNREADABLE:
        return []


def _column(path: Path, name: str, where: pl.Expr) -> list[bytes]:
    try:
        scan = pl.scan_parquet(path, hive_partitioning=False)
        return scan.filter(where).select(pl.col(name).unique()).collect()[name].to_list()
    except UNREADABLE:
        return []
