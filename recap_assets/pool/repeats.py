"""Uids that two partitions of a pool have: the one in the later partition is set aside.

A partition is indexed without the others, so that a new shard rebuilds no old one. What it finds to
be the same elsewhere it notes in a file beside the tables, a file for each later and earlier
partition; the later one's note is among what it is made from. So it is out of date where a note
comes, changes or goes; whichever was indexed first, the result is that of the pool's order.
See docs/adr/0014-repeats-are-notes.md.
"""

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import UID_BYTES, is_usable
from recap_assets.graph.project import Project
from recap_assets.storage.files import write_atomically

REASON = "duplicate_uid"


def noted(project: Project, partition: str) -> frozenset[bytes]:
    """The uids that an earlier partition of the pool has as well."""
    folder = _folder(project) / partition
    current = project.partitions
    files = [path for path in folder.glob("*.uids") if path.stem in current]
    return frozenset(uid for path in files for uid in _read(path))


def version_of(uids: Collection[bytes]) -> str:
    """What changes when the uids do; nothing for none."""
    return hashlib.sha256(b"".join(sorted(uids))).hexdigest()[:16] if uids else ""


def note(project: Project, partition: str) -> None:
    """Note what the partition, as it is written, has in common with the others."""
    ours, others = _ours(project, partition), _others(project, partition)
    uid, is_theirs = pl.col("uid"), pl.col("usable")
    shared = others.join(ours.lazy(), on="uid", how="inner", suffix="_here").unique().collect()
    for other in project.partitions:
        if other == partition:
            continue
        pairs = shared.filter(pl.col("partition") == other)
        later, earlier = max(partition, other), min(partition, other)
        stands = is_theirs if other == earlier else pl.col("usable_here")
        _write(_folder(project) / later / f"{earlier}.uids", pairs.filter(stands).select(uid))


def _ours(project: Project, partition: str) -> pl.DataFrame:
    rows = project.workspace.tables.scan(RAW_POOL, partition=partition)
    return _relevant(rows).group_by("uid").agg(pl.col("usable").any()).collect()


def _others(project: Project, partition: str) -> pl.LazyFrame:
    rows = project.workspace.tables.scan(RAW_POOL).filter(pl.col("partition") != partition)
    return _relevant(rows).group_by("partition", "uid").agg(pl.col("usable").any())


def _relevant(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows that stand or would, but for an earlier one."""
    chosen = rows.filter(is_usable() | (pl.col("reject_reason") == REASON))
    return chosen.select("partition", "uid", usable=is_usable())


def _folder(project: Project) -> Path:
    return project.workspace.root / "repeats"


def _read(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    for start in range(0, len(content), UID_BYTES):
        yield content[start : start + UID_BYTES]


def _write(path: Path, uids: pl.DataFrame) -> None:
    content = b"".join(sorted(uids["uid"]))
    if not content:
        path.unlink(missing_ok=True)
    elif not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
