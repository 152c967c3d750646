"""Images of the report with all their captions."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts import (
    CLIP_SCORES,
    CURATED_MIXES,
    RAW_POOL,
    SYNTHETIC_CAPTIONS,
    uid_hashes,
)
from recap_assets.graph.stage import Project
from recap_assets.report.contents import Example, ExampleCaption
from recap_assets.report.swept import written_sources
from recap_assets.report.takers import takers_of
from recap_assets.shards.reading import iterate_images
from recap_assets.shards.thumbnails import thumbnail
from recap_assets.specs.sources import RAW

PARTITIONS = 4
"""The first ones, of which images are drawn."""


class FoundImage(NamedTuple):
    """An image of the pool, RGB of shape (height, width, 3), and where it is."""

    partition: str
    uid: bytes
    image: NDArray[np.uint8]


def examples(project: Project) -> Iterator[Example]:
    """Images of the pool, drawn by their uid."""
    yield from _shown(project, _usable(project))


def discarded(project: Project) -> Iterator[Example]:
    """Images whose raw text the filter discards, and that the first mixed mix takes by a caption.

    They are what the paper's figure 1 shows: images worth keeping beside texts that are not.
    """
    report = project.experiment.report
    if report.raw_filtered is None or not report.mixed:
        return
    pairs = project.workspace.tables.scan(CURATED_MIXES).filter(
        pl.col("partition").is_in(list(project.partitions)[:PARTITIONS])
    )
    kept = pairs.filter(pl.col("mix") == report.raw_filtered).select("uid")
    with_caption = pairs.filter((pl.col("mix") == report.mixed[0]) & pl.col("source").ne(RAW))
    rescued = with_caption.join(kept, on="uid", how="anti").select("uid").unique().collect()
    yield from _shown(project, _usable(project).join(rescued, on="uid", how="semi"))


def _usable(project: Project) -> pl.DataFrame:
    keys = list(project.partitions)[:PARTITIONS]
    parts = (project.usable_images(key).with_columns(partition=pl.lit(key)) for key in keys)
    return pl.concat(list(parts))


def _shown(project: Project, images: pl.DataFrame) -> Iterator[Example]:
    wanted = project.experiment.report.examples
    if images.is_empty() or not wanted:
        return
    drawn = pl.Series(uid_hashes(0, "report examples", images["uid"]))
    chosen = images.with_columns(draw=drawn).sort("draw").head(wanted)
    captions = captions_of(project, chosen["uid"])
    takers = takers_of(project, chosen["uid"], set(chosen["partition"]))
    for partition, uid, image in _decoded(project, chosen):
        of_it = captions.filter(pl.col("uid") == uid).select("source", "text", "score")
        shown = tuple(ExampleCaption(*row) for row in of_it.iter_rows())
        yield Example(thumbnail(image), shown, partition, uid, takers.get(uid, ()))


def images_of(project: Project, rows: pl.DataFrame) -> Iterator[FoundImage]:
    """The images of some rows that can still be read.

    Args:
        project: The experiment.
        rows: Columns `partition` and `uid`.
    """
    for (partition,), wanted in rows.partition_by("partition", as_dict=True).items():
        usable = project.usable_images(partition)
        found = usable.join(wanted.select("uid"), on="uid", how="semi").unique("uid", keep="any")
        yield from _decoded(project, found.with_columns(partition=pl.lit(partition)))


def _decoded(project: Project, rows: pl.DataFrame) -> Iterator[FoundImage]:
    batches = iterate_images(rows, project.shards, project.pool, batch_size=max(1, rows.height))
    for batch, decoded in batches:
        for partition, uid, image in zip(batch["partition"], batch["uid"], decoded, strict=True):
            if image is not None:
                yield FoundImage(partition, uid, image)


def captions_of(
    project: Project,
    uids: pl.Series,
    scorer: str | None = None,
    partitions: Collection[str] | None = None,
) -> pl.DataFrame:
    """All texts of some images: `uid`, `text`, `source`, `candidate` and `score`.

    Args:
        project: The experiment.
        uids: Of the images.
        scorer: Whose scores; by default the first one's.
        partitions: Those that the images are in, where they are known: no other is read.
    """
    tables = project.workspace.tables
    scorer = scorer or next(iter(project.experiment.scorers))
    wanted = pl.col("uid").is_in(uids.implode())
    if partitions is not None:
        wanted &= pl.col("partition").is_in(list(partitions))
    raw = tables.scan(RAW_POOL).filter(wanted).select(
        "uid", "text", source=pl.lit(RAW), candidate=pl.lit(0, pl.Int16)
    )  # fmt: skip
    written = (
        tables.scan(SYNTHETIC_CAPTIONS)
        .filter(wanted & pl.col("source").is_in(written_sources(project.experiment)))
        .select("uid", "text", "source", "candidate")
    )
    scored = tables.scan(CLIP_SCORES, scorer=scorer).filter(wanted)
    order = pl.Enum(project.experiment.source_names)
    return (
        pl.concat([raw, written])
        .drop_nulls("text")
        .join(
            scored.select("uid", "source", "candidate", "score"),
            on=["uid", "source", "candidate"],
            how="left",
        )
        .sort(pl.col("source").cast(order), "candidate")
        .collect()
    )
