"""The raw pool: every sample with its text, its place and its state."""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial

import polars as pl

from recap_assets.artefacts.facets import POOL_FACETS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.previews import preview_markdown
from recap_assets.artefacts.table import STATUS_REJECTED, count_rejects, is_usable
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.contact_sheets import sheet_of
from recap_assets.graph.content import StoredRows
from recap_assets.graph.kept_rows import ByRow
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import both, metadata_outside
from recap_assets.graph.project import Project
from recap_assets.graph.reuse import COMPUTED, REUSED
from recap_assets.pool import columns, forgotten, repeats
from recap_assets.pool.former_images import former_images
from recap_assets.pool.kind import PoolKind
from recap_assets.shards.indexing import index_shard
from recap_assets.shards.metadata import load_metadata
from recap_assets.specs.base import deciding
from recap_assets.specs.kinds import fitting

VERSION = 3
STAGE = "pool"
SECONDS_PER_SHARD = 3.0


def nodes(project: Project) -> list[Node]:
    """What writes the shards, where an asset does, and the raw pool."""
    pool = pool_of(project)
    made_by = pool.made_by
    return [
        *pool.nodes(project),
        *columns.nodes(project, pool),
        Node(
            key=RAW_POOL.key(),
            stage=STAGE,
            dimension="pool",
            dependencies=(Dependency(made_by, "same"),) if made_by else (),
            implementation=VERSION,
            decides=deciding(**pool.deciding_rows()),
            compute=lambda step: index_partition(project, step),
            description="Every sample of the pool: uid, text, place in its shard, sizes, hashes; "
            "what cannot be used is kept with its reason.",
            outside=both(
                None if made_by else lambda partition: _shards_version(project, partition),
                metadata_outside(project),
            ),
            content=StoredRows(project.workspace.tables, RAW_POOL, facets=POOL_FACETS),
            seconds=SECONDS_PER_SHARD * pool.shards_per_partition,
            kinds=("polars", "deltalake"),
            checks=_checks(project),
            rows=ByRow(RAW_POOL, is_outside_hashed=True),
        ),
    ]


def pool_of(project: Project) -> PoolKind:
    """The pool, as what the platform asks of a kind.

    Raises:
        KindError: A kind of another package is none.
    """
    return fitting("pool", project.experiment.pool, PoolKind)


def index_partition(project: Project, step: Step) -> Rows:
    """Index the shards of one pool partition."""
    pool = project.pool
    metadata = load_metadata(pool.metadata_folder) if pool.metadata_folder else None
    shards = project.partitions[step.partition]
    former = former_images(project, step)
    frames = []
    for i, shard in enumerate(shards):
        images = former.of_shard(shard.number)
        frames.append(index_shard(shard, pool, metadata, images))
        step.reuse.account.counted.update({COMPUTED: images.n_decoded, REUSED: images.n_taken})
        step.progress((i + 1) / len(shards))
    indexed = forgotten.set_aside(pl.concat(frames), project.workspace.refused)
    known: Collection[bytes] = ()
    if _may_repeat(project):
        known = repeats.noted(project, step.partition)
        step.once_written.append(partial(repeats.note, project, step.partition))
    rows = reject_repeated_uids(indexed, known)
    return Rows(
        rows,
        rejected=count_rejects(rows),
        facts=_facts(project, rows),
        markdown={
            **sheet_of(project, step.partition, rows.filter(is_usable())),
            "preview": preview_markdown(_preview(rows)),
        },
        machine=pool.given_by,
    )


def _facts(project: Project, rows: pl.DataFrame) -> dict[str, str | int | float]:
    """Of the partition its texts; of the whole pool the files that are not read, by reason."""
    aside = Counter(file.kind for file in project.left_aside)
    files = {f"files_left_aside_{kind.replace(' ', '_')}": n for kind, n in sorted(aside.items())}
    return {"without_text": int(rows["text"].null_count()), **count_notes(rows), **files}


def _may_repeat(project: Project) -> bool:
    """Whether uids may repeat: those of shards that an asset writes are distinguished before."""
    return project.pool.made_by is None


def reject_repeated_uids(
    rows: pl.DataFrame, known: Collection[bytes] = frozenset()
) -> pl.DataFrame:
    """Set aside every usable row whose uid an earlier usable row has (by shard, offset, key).

    Args:
        rows: Of one partition.
        known: Uids that earlier partitions have.
    """
    ordered = rows.sort("shard", "offset", "key")
    usable = is_usable()
    is_known = pl.col("uid").is_in(pl.Series(list(known), dtype=pl.Binary).implode())
    repeated = usable & ((usable.cast(pl.Int64).cum_sum().over("uid") > 1) | is_known)
    return ordered.with_columns(
        status=pl.when(repeated).then(pl.lit(STATUS_REJECTED)).otherwise("status"),
        reject_reason=pl.when(repeated).then(pl.lit("duplicate_uid")).otherwise("reject_reason"),
    )


def count_notes(rows: pl.DataFrame) -> dict[str, int]:
    """Usable rows whose text was read otherwise than as plain UTF-8, by `text_note`."""
    noted = rows.filter(is_usable() & pl.col("text_note").is_not_null())
    return dict(noted.group_by("text_note").len().sort("text_note").iter_rows())


def _preview(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("key", "text", "image_format", "width", "height", "status", "reject_reason")


def _shards_version(project: Project, partition: str) -> str:
    shards = project.partitions[partition]
    text = "\n".join(f"{shard.name} {shard.version}" for shard in shards)
    text += repeats.version_of(repeats.noted(project, partition))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _checks(project: Project) -> tuple[Check, ...]:
    def uids_unique(partitions: Sequence[str]) -> Verdict:
        rows = _usable(project, partitions, "partition", "uid")
        counted = rows.group_by("uid").agg(pl.len(), pl.col("partition").max())
        # What was noted just now is set aside when its partition is built again.
        pending = {uid for partition in partitions for uid in repeats.noted(project, partition)}
        twice = counted.filter((pl.col("len") > 1) & ~pl.col("uid").is_in(list(pending)))
        figures: dict[str, str | int | float] = {
            "samples": rows.height, "repeated_uids": twice.height,
        }  # fmt: skip
        if twice.height:
            figures["such_as"] = ", ".join(uid.hex() for uid in twice["uid"].sort().head(3))
        return Verdict(not twice.height, figures)

    def mostly_usable(partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.scan(RAW_POOL).filter(pl.col("partition").is_in(partitions))
        share = rows.select(is_usable().mean()).collect().item()
        return Verdict(share is not None and share >= 0.5, {"usable_share": share or 0.0})

    return (
        Check("uids_are_unique", "No two usable samples share a uid.", uids_unique),
        Check(
            "most_samples_are_usable",
            "At least half of the samples are usable.",
            mostly_usable,
            blocking=False,
        ),
    )


def _usable(project: Project, partitions: Sequence[str], *columns: str) -> pl.DataFrame:
    rows = project.workspace.tables.scan(RAW_POOL)
    chosen = pl.col("partition").is_in(partitions) & is_usable()
    return rows.filter(chosen).select(columns).collect()
