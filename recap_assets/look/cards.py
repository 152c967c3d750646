"""Images with all their captions, as pages show them."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from recap_assets.artefacts.draws import uid_hashes
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.look.gallery import Gallery
from recap_assets.report.contents import ExampleCaption
from recap_assets.report.examples import captions_of
from recap_assets.report.filters import minus

FOUND = pl.Schema({"partition": pl.String, "uid": pl.Binary})
"""Which images, in the order shown; further columns are notes of a page's own."""

PARTITIONS_DRAWN = 4
"""Partitions of which images are drawn; with more, a draw would read the whole pool."""


@dataclass(frozen=True)
class Card:
    """An image with its captions.

    Attributes:
        partition: Pool partition that it is in.
        uid: Its uid.
        captions: In the experiment's order of sources.
        note: What the page says of it; may be empty.
    """

    partition: str
    uid: bytes
    captions: tuple[ExampleCaption, ...]
    note: str = ""

    @property
    def best(self) -> float | None:
        """The highest score of its captions."""
        scores = [caption.score for caption in self.captions if caption.score is not None]
        return max(scores, default=None)

    def by(self, source: str) -> Sequence[ExampleCaption]:
        """The captions of one source."""
        return [caption for caption in self.captions if caption.source == source]


def cards(gallery: Gallery, found: pl.DataFrame, scorer: str, note: str = "") -> list[Card]:
    """The images with their captions.

    Args:
        gallery: The gallery.
        found: FOUND.
        scorer: Whose scores are shown.
        note: Format of what is said of an image, from its columns: `{similarity:.3f} alike`.
    """
    if found.is_empty():
        return []
    captions = captions_of(gallery.project, found["uid"], scorer, set(found["partition"]))
    by_uid = captions.partition_by("uid", as_dict=True, maintain_order=True)
    return [
        Card(
            row["partition"],
            row["uid"],
            _captions(by_uid.get((row["uid"],))),
            minus(note.format_map(row)),
        )
        for row in found.iter_rows(named=True)
    ]


def _captions(rows: pl.DataFrame | None) -> tuple[ExampleCaption, ...]:
    if rows is None:
        return ()
    shown = rows.select("source", "text", "score").unique(maintain_order=True)
    return tuple(ExampleCaption(*row) for row in shown.iter_rows())


def drawn_images(gallery: Gallery, seed: int, n: int) -> pl.DataFrame:
    """Usable images of the pool by (seed, uid), of a few partitions that the seed chooses."""
    partitions = list(gallery.project.partitions)
    first = seed * PARTITIONS_DRAWN % max(1, len(partitions))
    chosen = [*partitions[first:], *partitions[:first]][:PARTITIONS_DRAWN]
    rows = gallery.project.workspace.tables.scan(RAW_POOL).filter(
        is_usable() & pl.col("partition").is_in(chosen)
    )
    images = rows.select(list(FOUND)).collect()
    draw = pl.Series(uid_hashes(seed, "look", images["uid"]), dtype=pl.UInt64)
    return images.with_columns(draw=draw).sort("draw", "uid").head(n).drop("draw")


def partitions_of(gallery: Gallery, uids: Sequence[bytes]) -> dict[bytes, str]:
    """The partition of each image; of several samples of one uid a usable one's."""
    rows = gallery.project.workspace.tables.scan(RAW_POOL).filter(pl.col("uid").is_in(list(uids)))
    found = rows.select("uid", "partition", "status").sort(is_usable(), "partition").collect()
    return dict(found.select("uid", "partition").iter_rows())
