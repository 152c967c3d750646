"""Image files beside metadata.jsonl, as diffusers' trainers read them."""

import io
import json
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, cast

import polars as pl
from pydantic import Field

from recap_assets.exports.facts import code
from recap_assets.exports.kind import Refusal, ShardedExport
from recap_assets.exports.samples import Sample
from recap_assets.storage.folders import Folder, WrittenFile


class TextToImageExport(ShardedExport):
    """Image files beside metadata.jsonl, the `imagefolder` that diffusers' trainers read."""

    example = """\
pictures: {mix: raw_top30_blip2_filtered, to: text_to_image, min_side: 512}
"""

    tags: ClassVar = ("imagefolder",)
    file_patterns: ClassVar = (r"train/\d{8}/[^/]+", r"records/\d{8}\.json")
    has_few_files: ClassVar = False

    to: Literal["text_to_image"]
    samples_per_shard: int = Field(
        default=5_000, gt=0, le=10_000_000, description="Most images of one folder."
    )
    min_side: int = Field(
        default=1, gt=0, le=65_536, description="Smallest side that is accepted, in pixels."
    )
    max_aspect: float | None = Field(
        default=None, ge=1, description="Largest ratio of the longer to the shorter side."
    )
    min_score: float | None = Field(
        default=None, ge=-1, le=1, description="Smallest score of image and text, a cosine."
    )

    def form(self) -> "ImageFolders":
        """A folder each."""
        return ImageFolders()

    def how_to_read(self, folder: str) -> str:
        """As diffusers' trainers do."""
        example = code(f'datasets.load_dataset("imagefolder", data_dir="{folder}")')
        return f"As diffusers' trainers do with `--train_data_dir {folder}`:\n\n{example}"

    def refuses(self) -> Iterator[Refusal]:
        """Images of other formats, small and elongated ones, and low scores."""
        yield from super().refuses()
        shorter, longer = (f("width", "height") for f in (pl.min_horizontal, pl.max_horizontal))
        is_small = shorter < self.min_side
        yield Refusal("too_small", "a side is shorter than min_side", is_small)
        if self.max_aspect is not None:
            is_long = longer > self.max_aspect * shorter
            yield Refusal("too_elongated", "the sides' ratio is above max_aspect", is_long)
        if self.min_score is not None:
            is_low = ~(pl.col("score") >= self.min_score).fill_null(value=False)
            yield Refusal("low_score", "the score is below min_score, or there is none", is_low)


class ImageFolders:
    """`train/00000012/` with an image file for each pair and `metadata.jsonl`, written last."""

    with_images = True
    options: Mapping[str, object] = {}

    def record_name(self, number: int) -> str:
        """Beside the images, so that a reader of train/ finds images only."""
        return f"records/{number:08d}.json"

    def shard_name(self, number: int) -> str:
        """A folder of its own, since file systems dislike millions of files in one."""
        return f"train/{number:08d}"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write the images and then the lines that name them."""
        below, lines, files = self.shard_name(number), io.StringIO(), list[WrittenFile]()
        for sample in samples:
            name = f"{sample.key}.{sample.extension}"
            image = cast(bytes, sample.image)
            files.append(folder.write(f"{below}/{name}", image, sync=False))
            # The same columns in every file, none of them null, or `datasets` refuses the folder.
            line = {"file_name": name} | {c: sample.row[c] for c in ("text", "source")}
            line["uid"] = sample.row["uid"].hex()
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
        files.append(folder.write(f"{below}/metadata.jsonl", lines.getvalue().encode()))
        return files
