"""What an export reads of the tables, one pool partition at a time."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import polars as pl

from recap_assets.artefacts.captions import texts_key, texts_of
from recap_assets.artefacts.facets import FILES, TEXTS
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.artefacts.table import is_usable
from recap_assets.exports.kind import ShardedExport
from recap_assets.exports.rows import IMAGE_COLUMNS, ExportRows, export_rows
from recap_assets.exports.samples import CAPTION
from recap_assets.graph.node import Dependency
from recap_assets.graph.project import Project
from recap_assets.shards.reading import iterate_encoded
from recap_assets.storage.content import slice_version


def dependencies(project: Project, export: ShardedExport) -> tuple[Dependency, ...]:
    """What one partition of an export reads."""
    scorer = project.experiment.scorer_of(project.experiment.mixes[export.mix])
    # What the forms of another package read of a sample, nobody knows.
    files = Dependency(RAW_POOL.key(), "same", () if export.implemented_by else (FILES,))
    reads = [Dependency(CURATED_MIXES.key(export.mix), "same"), files]
    for source in export.sources_along(project.experiment.source_names):
        texts = texts_key(source)
        reads += [
            Dependency(texts, "same", (TEXTS,)),
            Dependency(CLIP_SCORES.key(scorer, source), "same"),
        ]
    mixes = export.mixes_along(tuple(project.experiment.mixes))
    reads += [Dependency(CURATED_MIXES.key(name), "same") for name in mixes]
    return tuple(dict.fromkeys(reads))


def pairs_of(project: Project, mix: str, partition: str) -> pl.DataFrame:
    """The pairs of one partition of a mix."""
    return project.workspace.tables.read(CURATED_MIXES, mix=mix, partition=partition)


def counted_pairs(project: Project, mix: str) -> Counter[str]:
    """Pairs of a mix as it is built, by source; empty where it was never built."""
    tables = project.workspace.tables
    if tables.version(CURATED_MIXES) is None:
        return Counter()
    rows = tables.scan(CURATED_MIXES, mix=mix).group_by("source").len().collect()
    return Counter(dict(rows.iter_rows()))


def version_of(pairs: pl.DataFrame) -> str:
    """The data version of one partition's pairs."""
    return slice_version(CURATED_MIXES, pairs)


def rows_of(
    project: Project, export: ShardedExport, partition: str, pairs: pl.DataFrame
) -> ExportRows:
    """The samples that an export writes of one partition."""
    tables = project.workspace.tables
    usable = tables.scan(RAW_POOL, partition=partition).filter(is_usable())
    images = usable.select(IMAGE_COLUMNS).collect()
    scorer = project.experiment.scorer_of(project.experiment.mixes[export.mix])
    along = _captions(
        project, scorer, export.sources_along(project.experiment.source_names), partition, pairs
    )
    has_copies = project.experiment.mixes[export.mix].copies is not None
    rows = export_rows(pairs, images, along, export, has_copies=has_copies)
    mixes = export.mixes_along(tuple(project.experiment.mixes))
    return _with_mixes(project, rows, mixes, partition) if mixes else rows


def _with_mixes(
    project: Project, rows: ExportRows, mixes: Sequence[str], partition: str
) -> ExportRows:
    """The rows with `mixes`, in the order given."""
    takes = pl.DataFrame(schema={"uid": pl.Binary, "mixes": pl.List(pl.String)})
    found = [
        pairs_of(project, name, partition).select("uid", mixes=pl.lit(name)).unique()
        for name in mixes
    ]
    by_image = pl.concat(found).group_by("uid", maintain_order=True).agg("mixes")
    samples = rows.samples.join(
        pl.concat([takes, by_image]), on="uid", how="left", maintain_order="left"
    )
    return replace(rows, samples=samples)


def _captions(
    project: Project, scorer: str, sources: Sequence[str], partition: str, pairs: pl.DataFrame
) -> pl.DataFrame:
    frames = [pl.DataFrame(schema={"uid": pl.Binary, **CAPTION.to_schema()})]
    for source in sources:
        texts = texts_of(project.workspace.tables, source, partition).drop_nulls("text")
        scored = project.workspace.tables.read(
            CLIP_SCORES, scorer=scorer, source=source, partition=partition
        ).select("uid", "candidate", "score")
        frames.append(
            texts.join(pairs.select("uid").unique(), on="uid", how="semi")
            .join(scored, on=["uid", "candidate"], how="left")
            .with_columns(source=pl.lit(source))
            .sort("uid", "candidate")
            .select("uid", *CAPTION.to_schema())
        )
    return pl.concat(frames)


def encoded_images(
    project: Project, rows: pl.DataFrame
) -> Iterable[tuple[pl.DataFrame, Sequence[bytes | None]]]:
    """The rows in batches with their images' bytes as they are in the pool."""
    return iterate_encoded(rows, project.shards, project.pool)
