"""FiftyOne's own format of a dataset, to look at a mix in its App."""

import json
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, cast

import polars as pl
from pydantic import Field

from recap_assets.exports.facts import code
from recap_assets.exports.kind import ShardedExport
from recap_assets.exports.kinds.fiftyone.fields import fields_of, metadata
from recap_assets.exports.kinds.fiftyone.samples import Media, part_name
from recap_assets.exports.kinds.webdataset.samples import one_an_image
from recap_assets.exports.written import Written
from recap_assets.specs.base import Name
from recap_assets.specs.exports import ImageFormat
from recap_assets.specs.references import Reference
from recap_assets.storage.folders import Folder, WrittenFile

METADATA, SAMPLES = "metadata.json", "samples.json"


class FiftyOneExport(ShardedExport):
    """A FiftyOne dataset: images with all their captions side by side, scores and mixes."""

    example = """\
reviewed: {mix: raw_top30_blip2_filtered, to: fiftyone}
"""

    tags: ClassVar = ("fiftyone",)
    file_patterns: ClassVar = (
        r"data/\d{8}/[^/]+",
        r"parts/\d{8}\.jsonl",
        r"records/\d{8}\.json",
    )
    beside: ClassVar = (METADATA, SAMPLES)
    has_few_files: ClassVar = False
    repeats: ClassVar = False

    to: Literal["fiftyone"]
    formats: tuple[ImageFormat, ...] = Field(
        default=("jpg", "png", "webp", "gif"),
        min_length=1,
        description="Image formats that are written; pairs with others are left out and counted.",
    )
    mixes: Literal["all"] | tuple[Name, ...] = Field(
        default="all", description="Mixes of which each image says whether they take it."
    )
    samples_per_shard: int = Field(
        default=5_000, gt=0, le=10_000_000, description="Most images of one folder."
    )

    def refers(self) -> Iterator[Reference]:
        """What every export refers to, and the mixes."""
        yield from super().refers()
        if self.mixes != "all":
            yield from (Reference("mixes", name, "mixes") for name in self.mixes)

    def mixes_along(self, all_mixes: Sequence[str]) -> Sequence[str]:
        """All, or those that are named."""
        return all_mixes if self.mixes == "all" else self.mixes

    def form(self) -> Media:
        """A folder of images each, and a part of the list of samples."""
        return Media()

    def how_to_read(self, folder: str) -> str:
        """By FiftyOne."""
        return code(
            "import fiftyone\n\n"
            f'dataset = fiftyone.Dataset.from_dir("{folder}", fiftyone.types.FiftyOneDataset)\n'
            "fiftyone.launch_app(dataset)"
        )

    def gathered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """One sample an image."""
        return one_an_image(rows)

    def beside_all(self, folder: Folder, written: Written) -> Sequence[WrittenFile]:
        """The samples of all shards in one file, and what fields they have."""
        found: dict[str, dict[str, object]] = {}
        with folder.writing(SAMPLES) as file:
            file.write(b'{"samples": [')
            comma = b"\n"
            for shard in written.shards:
                below, _, number = shard.shard.rpartition("data/")
                for line in _lines(folder, f"{below}{part_name(number)}"):
                    sample = json.loads(line)
                    found |= fields_of(sample, known=found)
                    sample["filepath"] = below + sample["filepath"]
                    file.write(comma + json.dumps(sample, ensure_ascii=False).encode())
                    comma = b",\n"
            file.write(b"\n]}\n")
        return [file.written(SAMPLES), folder.write(METADATA, metadata(self.mix, found.values()))]


def _lines(folder: Folder, name: str) -> list[bytes]:
    # One that is gone was removed by somebody since its record was read: reading says so.
    return cast(bytes, folder.read(name)).splitlines()
