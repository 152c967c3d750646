"""A mix as lines of JSON, and a pool whose images are nowhere but in the program."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import polars as pl
from PIL import Image
from pydantic import Field

from recap_assets.exports.forms import Form
from recap_assets.exports.kind import Refusal, ShardedExport
from recap_assets.exports.samples import Sample
from recap_assets.pool.kind import PoolKind
from recap_assets.shards.manifest import Shard
from recap_assets.shards.pools import EncodedImages, ImagePlace, PoolProject
from recap_assets.shards.sample_rows import SampleRow, settle_uid, take_image
from recap_assets.storage.folders import Folder, WrittenFile


class LinesExport(ShardedExport):
    """Lines of JSON with uid and text."""

    tags: ClassVar = ("jsonl",)
    file_patterns: ClassVar = (r"\d{8}\.(jsonl|told\.json)",)

    to: Literal["lines"]
    prompt: str = Field(default="", description="What stands before each text.")
    letters: int | None = Field(default=None, gt=0, description="Most letters of a text.")

    def form(self) -> Form:
        """A file each."""
        return Lines(self.prompt)

    def how_to_read(self, folder: str) -> str:
        """By polars."""
        return f'`polars.read_ndjson("{folder}/*.jsonl")`'

    def refuses(self) -> Iterator[Refusal]:
        """Texts that are too long; images of any format are taken, since none is written."""
        if self.letters is not None:
            is_long = pl.col("text").str.len_chars() > self.letters
            yield Refusal("too_long", "the text has more letters than `letters`", is_long)


class Lines:
    """A line a sample."""

    with_images = False

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self.options: Mapping[str, object] = {"prompt": prompt} if prompt else {}

    def record_name(self, number: int) -> str:
        """Beside the lines."""
        return f"{number:08d}.told.json"

    def shard_name(self, number: int) -> str:
        """Eight digits."""
        return f"{number:08d}.jsonl"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """All lines at once."""
        told = ({"uid": s.row["uid"].hex(), "text": self._prompt + s.row["text"]} for s in samples)
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in told)
        return [folder.write(self.shard_name(number), content.encode())]


class GreysPool(PoolKind):
    """Grey images that the program has in memory, three in a shard."""

    kind: Literal["greys"]
    shades: int = Field(default=6, gt=0, le=256, description="Images, from dark to bright.")

    def known_shards(self, project: PoolProject) -> Mapping[int, Shard]:  # noqa: ARG002 - of all kinds
        """Three images a shard."""
        return {n: Shard(f"greys{n}", "", 0, "1", n) for n in range(-(-self.shades // 3))}

    def index(self, shard: Shard, uids: Mapping[str, bytes]) -> Iterable[SampleRow]:  # noqa: ARG002 - of all kinds
        """A row for each shade."""
        keys: set[tuple[bytes, str]] = set()
        for number in range(3 * shard.number, min(3 * shard.number + 3, self.shades)):
            data = grey(number)
            row = SampleRow(str(number), offset=0, size=len(data), text=f"shade {number} of grey")
            take_image(row, data, self.limits)
            settle_uid(row, shard, 0, keys)
            yield row

    def open_images(self, shards: Mapping[int, Shard], *, strict: bool) -> EncodedImages:  # noqa: ARG002 - of all kinds
        """They are drawn anew."""
        return Greys()


class Greys:
    """Images by their shade, which is their key."""

    def fetch(self, shard: int, places: Sequence[ImagePlace]) -> Sequence[bytes | None]:  # noqa: ARG002 - of all kinds
        """Any shade."""
        return [grey(int(place.key)) if place.key.isdigit() else None for place in places]

    def close(self) -> None:
        """Nothing is open."""


def grey(shade: int) -> bytes:
    """An image of one shade, with a gradient of its own."""
    image = Image.linear_gradient("L").resize((64, 48)).point(lambda value: (value + shade) % 256)
    data = io.BytesIO()
    image.convert("RGB").save(data, "PNG")
    return data.getvalue()
