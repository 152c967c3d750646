"""Columns of the pool: what else the samples' jsons, tables and metadata say of them, as texts.

Each is an asset of its own, read in a pass over the shards that reads no image: an edit of its
place builds it again, and of what names it only that whose texts came out otherwise.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from recap_assets.artefacts.facets import KEYS
from recap_assets.artefacts.pool import POOL_COLUMNS, RAW_POOL
from recap_assets.artefacts.previews import preview_markdown
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, ForAll, Node, Rows, Step
from recap_assets.graph.outside import Outside, metadata_outside
from recap_assets.graph.project import Project
from recap_assets.graph.shardwise import ShardProgress, by_shard
from recap_assets.pool.kind import PoolKind
from recap_assets.shards.files import PoolError, stamp_of
from recap_assets.shards.manifest import Shard
from recap_assets.shards.metadata import load_metadata
from recap_assets.shards.sample_texts import text_of_column
from recap_assets.specs.base import deciding
from recap_assets.specs.pool import METADATA
from recap_assets.storage.settled import settled_version
from recap_assets.untrusted.showing import listed

VERSION = 1
STAGE = "pool"
SECONDS_PER_SHARD = 0.5


def nodes(project: Project, pool: PoolKind) -> list[Node]:
    """The asset of each column."""
    return [_node(project, pool, name) for name in pool.columns]


def _node(project: Project, pool: PoolKind, name: str) -> Node:
    place, made_by = pool.columns[name], pool.made_by
    made = (Dependency(made_by, "same"),) if made_by else ()
    return Node(
        key=POOL_COLUMNS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(Dependency(RAW_POOL.key(), "same", (KEYS,)), *made),
        implementation=VERSION,
        decides=deciding(place=place, **pool.implemented_by),
        compute=lambda step: column_partition(project, pool, place, step),
        description=f"What {place} says of every usable sample, as text.",
        outside=_outside(project, pool, place),
        content=StoredRows(project.workspace.tables, POOL_COLUMNS, {"column": name}),
        seconds=SECONDS_PER_SHARD * pool.shards_per_partition,
        kinds=("polars", "deltalake"),
        checks=(_has_texts(project, name),),
    )


def _outside(project: Project, pool: PoolKind, place: str) -> Outside | None:
    if place.startswith(f"{METADATA}."):
        return metadata_outside(project)
    if pool.made_by:
        return None
    if (file := pool.columns_file()) is not None:
        return ForAll(lambda: _settled(project, pool, file))
    return lambda partition: pool.columns_version(project.partitions[partition])


def _settled(project: Project, pool: PoolKind, file: Path) -> str:
    """The version of a file, also where another of equal size and time replaced it."""
    listed = pool.columns_version(())
    try:
        look = stamp_of(listed, str(file))
    except OSError:
        return listed
    may_write = not project.is_read_only
    return settled_version(
        project.workspace.contents, f"columns of {file}", look, listed, lambda: _hash(file),
        learns=may_write, writes=may_write,
    )  # fmt: skip


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def column_partition(project: Project, pool: PoolKind, place: str, step: Step) -> Rows:
    """The texts of one column for one pool partition."""
    images = project.usable_images(step.partition).select("shard", "uid", "key")
    compute = partial(_of_shard, project, pool, place)
    rows = by_shard(project, step, images, compute)
    n_without = int(rows["text"].null_count())
    return Rows(
        rows,
        facts={"with_text": rows.height - n_without, "without_text": n_without},
        markdown={"preview": preview_markdown(rows.drop_nulls("text").select("uid", "text"))},
    )


def _of_shard(
    project: Project, pool: PoolKind, place: str, rows: pl.DataFrame, advance: ShardProgress
) -> pl.DataFrame:
    if rows.is_empty():
        return POOL_COLUMNS.unsliced.to_frame()
    shard = project.shards[rows["shard"][0]]
    root, _, field = place.partition(".")
    if root == METADATA:
        values = _of_metadata(pool, shard, field, rows["uid"])
        named: Sequence[object] = rows["uid"].to_list()
    else:
        values = _first_of_each(pool.column_values(shard, field))
        named = rows["key"].to_list()
    texts = [text_of_column(values.get(one)) for one in named]
    advance(rows.height)
    found = rows.select("shard", "uid").with_columns(pl.Series("text", texts, dtype=pl.String))
    return found.sort("shard", "uid")


def _first_of_each(values: Iterable[tuple[str, object]]) -> Mapping[object, object]:
    found: dict[object, object] = {}
    for key, value in values:
        found.setdefault(key, value)
    return found


def _of_metadata(
    pool: PoolKind, shard: Shard, column: str, uids: pl.Series
) -> Mapping[object, object]:
    metadata = load_metadata(pool.metadata_folder or "")
    if not any(column in file.columns for file in metadata.files):
        known = listed(sorted(metadata.files[0].columns))
        msg = f"pool.columns: no file of {metadata.folder} has a column {column!r}; the first has "
        raise PoolError(msg + known)
    found = metadata.lookup(uids, [column], first=shard.name.rpartition("/")[2])
    return dict(zip(found["uid"].to_list(), found[column].to_list(), strict=True))


def _has_texts(project: Project, name: str) -> Check:
    def evaluate(partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.scan(POOL_COLUMNS, column=name)
        chosen = rows.filter(pl.col("partition").is_in(partitions))
        n, n_texts = chosen.select(pl.len(), pl.col("text").count().alias("n")).collect().row(0)
        return Verdict(n_texts > 0 or n == 0, {"samples": n, "with_text": n_texts})

    return Check(
        "some_samples_have_a_text", "At least one sample has the column.", evaluate, blocking=False
    )
