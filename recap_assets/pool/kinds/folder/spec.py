"""A plain folder of images with a table of texts: what a user writes."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recap_assets.pool.kind import PoolKind
from recap_assets.shards.pools import ListedPool
from recap_assets.specs.fields import Address
from recap_assets.specs.quotes import Quotes


class FolderSpec(ListedPool, PoolKind):
    """A plain folder of images with a CSV, JSON-lines or parquet table of texts."""

    example = """\
kind: folder
images: /data/photos
texts: /data/photos.csv                        # columns `image` and `text`
"""

    column_roots: ClassVar = ("table",)

    kind: Literal["folder"]
    images: Annotated[str, Address] = Field(
        description="The folder that the image column is relative to."
    )
    texts: Annotated[str, Address] = Field(
        description="Table of texts: .csv, .tsv, .jsonl, .ndjson or .parquet."
    )
    image_column: str = Field(
        default="image", description="Column with the image's path below `images`."
    )
    text_column: str = Field(default="text", description="Column with the raw text.")
    uid_column: str | None = Field(
        default=None,
        description="Column with 32 hex digits; where absent the uid is made from the sha256.",
    )
    quoting: Quotes = None
    samples_per_shard: int = Field(
        default=10_000, gt=0, le=10_000_000, description="Rows that form one virtual shard."
    )
    shards_per_partition: int = Field(
        default=1, gt=0, le=1_000_000, description="Shards that form one partition."
    )
