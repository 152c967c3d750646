"""Where image-text pairs come from, and the corpora that the platform's own models learn from."""

from typing import Annotated, Literal

from pydantic import Field

from recap_assets.specs.base import Spec


class ImageLimits(Spec):
    """Bounds on one image. Pools are hostile: what exceeds them is set aside with a reason."""

    max_bytes: int = Field(default=32 * 2**20, gt=0, description="Largest encoded image, in bytes.")
    max_pixels: int = Field(
        default=89_478_485, gt=0, description="Largest width x height, in pixels."
    )
    min_side: int = Field(default=1, gt=0, description="Smallest side that is accepted, in pixels.")


class EmbeddedPool(Spec):
    """The embedded world: images that the program draws, with alt-text as noisy as the web's."""

    kind: Literal["embedded"]
    samples: int = Field(default=6_000, gt=0, description="Image-text pairs to draw.")
    samples_per_shard: int = Field(default=750, gt=0, description="Pairs in each tar shard.")
    shards_per_partition: int = Field(
        default=1, gt=0, description="Tar shards that form one partition."
    )
    limits: ImageLimits = ImageLimits()


class WebDatasetPool(Spec):
    """img2dataset or DataComp shards: `NNNNNNNN.tar` with image, `.txt` and `.json` members."""

    kind: Literal["webdataset"]
    shards: str = Field(description="Folder or glob of the tars: a local path or an fsspec URL.")
    metadata: str | None = Field(
        default=None,
        description="Folder with DataComp's metadata parquet (and npz) files, joined by uid.",
    )
    shards_per_partition: int = Field(
        default=1, gt=0, description="Tar shards that form one partition."
    )
    limits: ImageLimits = ImageLimits()


class FolderPool(Spec):
    """A plain folder of images with a CSV, JSON-lines or parquet table of texts."""

    kind: Literal["folder"]
    images: str = Field(description="The folder that the image column is relative to.")
    texts: str = Field(description="Table of texts: .csv, .tsv, .jsonl, .ndjson or .parquet.")
    image_column: str = Field(
        default="image", description="Column with the image's path below `images`."
    )
    text_column: str = Field(default="text", description="Column with the raw text.")
    uid_column: str | None = Field(
        default=None,
        description="Column with 32 hex digits; where absent the uid is made from the sha256.",
    )
    samples_per_shard: int = Field(
        default=10_000, gt=0, description="Rows that form one virtual shard."
    )
    shards_per_partition: int = Field(
        default=1, gt=0, description="Shards that form one partition."
    )
    limits: ImageLimits = ImageLimits()


Pool = Annotated[EmbeddedPool | WebDatasetPool | FolderPool, Field(discriminator="kind")]


class EmbeddedCorpus(Spec):
    """Clean captions of drawn images. Styles: see docs/embedded_world.md."""

    kind: Literal["embedded"]
    style: Literal["broad", "narrow", "scorer"] = Field(
        description="broad: fine names for many classes; narrow: coarse names for the common ones; "
        "scorer: a mixture of rich alt-text and clean captions."
    )
    samples: int = Field(default=8_000, gt=0, description="Images to draw.")
    captions_per_image: int = Field(default=3, gt=0, description="Captions of each image.")


class WebDatasetCorpus(Spec):
    """Tar shards with an image and a `.txt` of one caption a line."""

    kind: Literal["webdataset"]
    shards: str = Field(description="Folder or glob of the tars: a local path or an fsspec URL.")
    limits: ImageLimits = ImageLimits()


Corpus = Annotated[EmbeddedCorpus | WebDatasetCorpus, Field(discriminator="kind")]
