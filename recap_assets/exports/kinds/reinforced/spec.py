"""Tars with teachers' embeddings of augmented images: what a user writes."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from recap_assets.exports.facts import code
from recap_assets.exports.kind import WholeExport
from recap_assets.specs.base import Name
from recap_assets.specs.exports import READ_BY_OPEN_CLIP, ImageFormat
from recap_assets.specs.references import EMBEDDINGS, Reference

if TYPE_CHECKING:
    from recap_assets.graph.node import Dependency

CONFIG = "reinforcement.json"


class ReinforcedSpec(WholeExport):
    """MobileCLIP's reinforced tars: teachers' embeddings by augmentation, and several captions."""

    example = """\
distilled: {mix: raw_top30_blip2_filtered, to: reinforced, teachers: [clip], captioners: [blip2]}
"""

    tags: ClassVar = ("webdataset",)
    file_patterns: ClassVar = (r"\d{8}\.tar", r"\d{8}_stats\.json")
    beside: ClassVar = (CONFIG,)

    to: Literal["reinforced"]
    teachers: tuple[Name, ...] = Field(
        min_length=1, max_length=8, description="Scorers whose embeddings are stored."
    )
    captioners: tuple[Name, ...] = Field(
        min_length=1,
        max_length=32,
        description="Sources whose captions are stored, all candidates. Of one they are "
        "`syn_text`, as in DataCompDR, of several `syn_text_<source>`, as in DFNDR. An image "
        "without any has its text there.",
    )
    augmentations: int = Field(
        default=10, gt=0, le=1_000, description="Augmented images: DataCompDR has 10 or 30."
    )
    rand_augment: bool = Field(
        default=True, description="Whether two random operations follow the random crop."
    )
    size: int = Field(default=224, gt=0, le=4_096, description="Sides of an augmented image.")
    seed: int = Field(default=0, description="Of the augmentations, drawn by (seed, uid).")
    samples_per_shard: int = Field(
        default=10_000, gt=0, le=10_000_000, description="Most samples of one tar."
    )
    formats: tuple[ImageFormat, ...] = Field(
        default=READ_BY_OPEN_CLIP,
        min_length=1,
        description="Image formats that are written; pairs with others are left out and counted.",
    )

    @property
    def described(self) -> str:
        """What it is."""
        return (
            f"Tars of {self.mix} with {self.augmentations} augmentations, embedded by "
            f"{', '.join(self.teachers)}, and captions of {', '.join(self.captioners)}."
        )

    def refers(self) -> Iterator[Reference]:
        """The teachers and the captioners."""
        yield from super().refers()
        for name in self.teachers:
            yield Reference("teachers", name, "scorers", gives=EMBEDDINGS)
        yield from (Reference("captioners", name, "source_names") for name in self.captioners)

    def reads(self) -> "Iterator[Dependency]":
        """The captions, and the embeddings that say which model a teacher is."""
        from recap_assets.artefacts import IMAGE_EMBEDDINGS, RAW_POOL, texts_key
        from recap_assets.artefacts.facets import FILES, TEXTS
        from recap_assets.graph.node import Dependency

        yield Dependency(RAW_POOL.key(), "all", (FILES,))
        yield from (Dependency(texts_key(one), "all", (TEXTS,)) for one in self.captioners)
        yield from (Dependency(IMAGE_EMBEDDINGS.key(one), "all") for one in self.teachers)

    def how_to_read(self, folder: str) -> str:
        """By the trainer that MobileCLIP's authors patched."""
        arguments = (
            f"--train-data '{folder}/{{00000000..00000000}}.tar' --dataset-type webdataset \\\n"
            f"  --dataset-reinforcement --dataset-reinforcement-config {folder}/{CONFIG}"
        )
        return f"By open_clip with ml-mobileclip's patch:\n\n{code(arguments, 'bash')}"

    def reasons(self) -> Mapping[str, str]:
        """Images of other formats, and changed ones."""
        return {
            "unread_format": "the image's format is none of `formats`",
            "image_changed": "the pool has other bytes there than when it was indexed",
        }
