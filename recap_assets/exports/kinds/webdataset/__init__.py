"""Tar shards as DataComp's resharder writes them."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from recap_assets.exports.facts import code
from recap_assets.exports.kind import ShardedExport
from recap_assets.exports.kinds.webdataset.resharded import write_beside
from recap_assets.exports.kinds.webdataset.samples import one_an_image, shuffled
from recap_assets.exports.kinds.webdataset.tars import Tars
from recap_assets.exports.runs import Run
from recap_assets.specs.mixes import Mix
from recap_assets.storage.folders import Folder, WrittenFile


class WebDatasetExport(ShardedExport):
    """Tar shards as DataComp's resharder writes them, with the chosen text of each image."""

    example = """\
train: {mix: raw_top30_blip2_filtered, to: webdataset}   # tars for open_clip, DataComp's way
"""

    tags: ClassVar = ("webdataset",)
    file_patterns: ClassVar = (
        r"\d{8}(\.tar|_stats\.json)",
        r"sizes\.json|meta\.json|sample_ids\.npy",
    )
    flags: ClassVar = {"by_weight": "one-folder"}

    to: Literal["webdataset"]
    samples_per_shard: int = Field(
        default=10_000, gt=0, le=10_000_000, description="Most samples of one tar."
    )
    shuffle: int | None = Field(
        default=None,
        description="Seed of the order within a pool partition; by default the pool's own order, "
        "which is read fastest.",
    )
    positives: Literal["samples", "json"] = Field(
        default="samples",
        description="Several pairs of one image: as samples uid-0, uid-1, ... (samples), or as one "
        "sample whose json lists them (json).",
    )
    by_weight: bool = Field(
        default=True,
        description="Pairs of different weights go to different folders, so that a trainer that "
        "weighs shards, such as open_clip, can draw each pair by its weight.",
    )

    @property
    def trains(self) -> bool:
        """Whether each pair is a sample, drawn by its weight."""
        # A trainer that draws one text of an image would have to read the json.
        return self.by_weight and self.positives == "samples"

    def form(self) -> Tars:
        """A tar each."""
        return Tars()

    def how_to_read(self, folder: str) -> str:
        """By open_clip."""
        printed = code(f"recap export --arguments {folder}", "bash")
        return (
            "The chosen text of each image is in its `.txt`; its `.json` has the caption of "
            "every source as `caption_<source>`. open_clip's arguments are what this prints:"
            f"\n\n{printed}\n\nTo draw among the captions instead, add `--json-text-key "
            "'caption_a;caption_b' --json-text-key-probs 0.5 0.5` (open_clip 4)."
        )

    def gathered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """One sample for each pair, or for each image."""
        return one_an_image(rows) if self.positives == "json" else rows

    def ordered(self, samples: pl.DataFrame) -> pl.DataFrame:
        """In the pool's order, or in one that is drawn."""
        if self.shuffle is None:
            return super().ordered(samples)
        return shuffled(samples, self.shuffle)

    def in_groups(self, mix: Mix) -> bool:
        """Whether samples may have different weights, as the mix is written."""
        summed = self.positives == "json" and mix.gives_several
        return self.by_weight and (len(mix.weights) > 1 or summed)

    def beside_shards(self, folder: Folder, run: Run) -> Sequence[WrittenFile]:
        """What DataComp's resharder leaves beside its tars."""
        return write_beside(folder, run, self.samples_per_shard)
