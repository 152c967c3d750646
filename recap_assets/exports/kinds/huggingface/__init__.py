"""Parquet with a dataset card and Croissant metadata."""

import shlex
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from recap_assets.exports.facts import Curation, Holdings, code
from recap_assets.exports.kind import Refusal, ShardedExport
from recap_assets.exports.kinds.huggingface.about import About
from recap_assets.exports.kinds.huggingface.croissant import croissant
from recap_assets.exports.kinds.huggingface.front_matter import front_matter
from recap_assets.exports.kinds.huggingface.parquets import ROWS_PER_GROUP, Parquets
from recap_assets.specs.exports import ImageFormat
from recap_assets.specs.mixes import Mix

CROISSANT = "croissant.json"


class HuggingFaceExport(About, ShardedExport):
    """Parquet files with a dataset card and Croissant metadata."""

    example = """\
published: {mix: raw_top30_blip2_filtered, to: huggingface, license: cc-by-4.0}
"""

    tags: ClassVar = ("parquet",)
    file_patterns: ClassVar = (r"data/train-\d{8}\.parquet", r"records/\d{8}\.json")
    beside: ClassVar = (CROISSANT,)
    beside_version: ClassVar = 2
    describes_texts: ClassVar = True
    only_beside: ClassVar = tuple(About.model_fields)
    repeats: ClassVar = False

    to: Literal["huggingface"]
    formats: tuple[ImageFormat, ...] = Field(
        default=("jpg", "png", "webp", "gif"),
        min_length=1,
        description="Image formats that are written; pairs with others are left out and counted.",
    )
    images: bool = Field(
        default=True, description="Embed the images; without them only their addresses."
    )
    samples_per_shard: int = Field(
        default=5_000, gt=0, le=10_000_000, description="Most rows of one file."
    )
    rows_per_group: int = Field(
        default=ROWS_PER_GROUP,
        gt=0,
        le=1_000_000,
        description="Rows of one row group: what a reader must load at once.",
    )

    def form(self) -> Parquets:
        """A parquet file each."""
        return Parquets(with_images=self.images, rows_per_group=self.rows_per_group)

    def form_of(self, mix: Mix) -> Parquets:
        """A parquet file each, with a column `copies` where the mix has any."""
        return Parquets(
            with_images=self.images,
            rows_per_group=self.rows_per_group,
            with_copies=mix.copies is not None,
        )

    def how_to_read(self, folder: str) -> str:
        """By datasets."""
        return code(f'datasets.load_dataset("{folder}", split="train")')

    def how_to_publish(self, folder: str) -> str:
        """By a push to the Hub."""
        return f"recap export {shlex.quote(folder)} --push-to hf://datasets/ORGANISATION/NAME"

    def documents(self, held: Holdings, curation: Curation) -> Mapping[str, bytes]:
        """Croissant metadata."""
        content = croissant(held, curation, self, with_images=self.images)
        return {CROISSANT: content}

    def card_head(self, held: Holdings, curation: Curation) -> str:
        """The Hub's metadata in YAML."""
        return front_matter(held, curation, self, with_images=self.images)

    def refuses(self) -> Iterator[Refusal]:
        """Images of other formats, where the images are embedded."""
        return super().refuses() if self.images else iter(())
