"""Where image-text pairs come from, and the corpora that the platform's own models learn from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recap_assets.specs.base import Spec
from recap_assets.specs.fields import Address, Speed
from recap_assets.specs.quotes import Quotes

MOST_DRAWN_SHARDS = 10_000
"""Of an embedded pool: each is listed before anything is drawn."""


class ImageLimits(Spec):
    """Bounds on one image. Pools are hostile: what exceeds them is set aside with a reason."""

    max_bytes: int = Field(
        default=32 * 2**20, gt=0, le=2**30, description="Largest encoded image, in bytes."
    )
    max_pixels: int = Field(
        default=89_478_485, gt=0, le=2**30, description="Largest width x height, in pixels."
    )
    min_side: int = Field(
        default=1, gt=0, le=65_536, description="Smallest side that is accepted, in pixels."
    )


class EmbeddedPool(Spec):
    """The embedded world: images that the program draws, with alt-text as noisy as the web's."""

    kind: Literal["embedded"]
    samples: int = Field(default=6_000, gt=0, le=1_000_000, description="Image-text pairs to draw.")
    samples_per_shard: int = Field(
        default=750, gt=0, le=10_000_000, description="Pairs in each tar shard."
    )
    shards_per_partition: int = Field(
        default=1, gt=0, le=1_000_000, description="Tar shards that form one partition."
    )
    limits: ImageLimits = ImageLimits()

    @model_validator(mode="after")
    def _shards_can_be_planned(self) -> Self:
        n_shards = -(-self.samples // self.samples_per_shard)
        if n_shards > MOST_DRAWN_SHARDS:
            msg = (
                f"{n_shards:,} shards of samples_per_shard {self.samples_per_shard:,} would be "
                f"planned, at most {MOST_DRAWN_SHARDS:,} are; raise samples_per_shard"
            )
            raise ValueError(msg)
        return self


class WebDatasetPool(Spec):
    """img2dataset or DataComp shards: `NNNNNNNN.tar` with image, `.txt` and `.json` members."""

    kind: Literal["webdataset"]
    shards: Annotated[str, Address] = Field(
        description="Folder or glob of the tars: a local path or an fsspec URL."
    )
    metadata: Annotated[str | None, Address] = Field(
        default=None,
        description="Folder with DataComp's metadata parquet (and npz) files, joined by uid.",
    )
    text_field: str | None = Field(
        default=None,
        min_length=1,
        description="Ending of the member, or field of the json (`a.b` for b of a), that holds the "
        "text; by default the `.txt` member, else the json's `caption`, else its `text`. Of a list "
        "the first counts.",
    )
    shards_per_partition: int = Field(
        default=1, gt=0, le=1_000_000, description="Tar shards that form one partition."
    )
    limits: ImageLimits = ImageLimits()


class FolderPool(Spec):
    """A plain folder of images with a CSV, JSON-lines or parquet table of texts."""

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
    limits: ImageLimits = ImageLimits()


class HashCheck(Spec):
    """A hash of each image's bytes as served; where it differs the image counts as failed."""

    column: str = Field(description="Column of the list with the hash in hex digits.")
    algorithm: Literal["md5", "sha256", "sha512"] = "sha256"


class UrlPool(Spec):
    """A list of URLs that img2dataset fetches into shards; the defaults are DataComp's."""

    kind: Literal["urls"]
    urls: Annotated[str, Address] = Field(
        description="The list: a file, a folder or a glob of .parquet, .csv, .tsv or .jsonl files, "
        "such as DataComp's metadata folder; a local path or an fsspec URL."
    )
    quoting: Quotes = None
    shards: Annotated[str | None, Address] = Field(
        default=None,
        description="Local folder that the shards are written to; by default in the data folder.",
    )
    metadata: Annotated[str | None, Address] = Field(
        default=None,
        description="Folder with DataComp's metadata parquet (and npz) files, joined by uid.",
    )
    url_column: str = "url"
    caption_column: str | None = "text"
    uid_column: str = Field(
        default="uid",
        description="Column with 32 hex digits; where the list has none, the uid is made from URL "
        "and caption.",
    )
    save_additional_columns: tuple[str, ...] = Field(
        default=(), description="Columns that go into each sample's json."
    )
    bbox_column: str | None = Field(
        default="face_bboxes",
        description="Column with boxes to blur (x0, y0, x1, y1 as fractions), where the list has "
        "it; null blurs nothing.",
    )
    verify_hash: HashCheck | None = None
    image_size: int = Field(default=512, gt=0, le=16_384, description="Pixels; see resize_mode.")
    resize_mode: Literal["no", "keep_ratio", "center_crop", "border", "keep_ratio_largest"] = Field(
        default="keep_ratio_largest",
        description="keep_ratio_largest: the longer side becomes image_size; keep_ratio: the "
        "shorter one; center_crop, border: a square; no: as it is.",
    )
    resize_only_if_bigger: bool = True
    encode_format: Literal["jpg", "png", "webp"] = "jpg"
    encode_quality: int = Field(
        default=95, ge=0, le=100, description="JPEG or WebP quality; for png compression, 0 to 9."
    )
    min_image_size: int = Field(
        default=0,
        ge=0,
        le=65_536,
        description="Smallest side as served, in pixels; 0 sets no bound.",
    )
    max_aspect_ratio: float | None = Field(
        default=None, ge=1, description="Longest side over shortest, as served."
    )
    extract_exif: bool = Field(default=False, description="Keep the EXIF data in the json.")
    disallowed_header_directives: tuple[str, ...] = Field(
        default=("noai", "noimageai", "noindex", "noimageindex"),
        description="Directives of the X-Robots-Tag header by which a site opts out; honoured.",
    )
    user_agent_token: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Name that opt-out headers may address, sent in the user agent.",
    )
    attempt: int = Field(
        default=1,
        gt=0,
        le=1_000_000,
        description="Raise it to try all failed URLs again; what succeeded is kept.",
    )
    samples_per_shard: int = Field(
        default=10_000, gt=0, le=10_000_000, description="Rows of each new shard."
    )
    shards_per_partition: int = Field(
        default=1, gt=0, le=1_000_000, description="Tar shards that form one partition."
    )
    processes: Annotated[int | None, Speed] = Field(
        default=None, gt=0, le=1_024, description="img2dataset's processes; by default one a core."
    )
    threads: Annotated[int, Speed] = Field(
        default=128, gt=0, le=4_096, description="Requests at once in each process."
    )
    retries: Annotated[int, Speed] = Field(
        default=2, ge=0, le=100, description="Further attempts at a URL that fails."
    )
    timeout: Annotated[float, Speed] = Field(
        default=10, gt=0, le=3_600, description="Longest silence of a server, in seconds."
    )
    deadline: Annotated[float, Speed] = Field(
        default=60,
        gt=0,
        le=86_400,
        description="Longest time of one request, in seconds, however it drips.",
    )
    allow_private_addresses: bool = Field(
        default=False,
        description="Fetch from this machine and private networks too; leave it off for a list "
        "from elsewhere.",
    )
    limits: ImageLimits = ImageLimits()

    @model_validator(mode="after")
    def _quality_fits_format(self) -> Self:
        if self.encode_format == "png" and self.encode_quality > 9:
            msg = (
                f"encode_quality: {self.encode_quality} is no png compression; give 0 to 9 with "
                "encode_format png"
            )
            raise ValueError(msg)
        return self


Pool = Annotated[EmbeddedPool | WebDatasetPool | FolderPool | UrlPool, Field(discriminator="kind")]


class EmbeddedCorpus(Spec):
    """Clean captions of drawn images. Styles: see docs/embedded_world.md."""

    kind: Literal["embedded"]
    style: Literal["broad", "narrow", "scorer"] = Field(
        description="broad: fine names for many classes; narrow: coarse names for the common ones; "
        "scorer: a mixture of rich alt-text and clean captions."
    )
    samples: int = Field(default=8_000, gt=0, le=1_000_000, description="Images to draw.")
    captions_per_image: int = Field(default=3, gt=0, le=100, description="Captions of each image.")


class WebDatasetCorpus(Spec):
    """Tar shards with an image and a `.txt` of one caption a line."""

    kind: Literal["webdataset"]
    shards: Annotated[str, Address] = Field(
        description="Folder or glob of the tars: a local path or an fsspec URL."
    )
    limits: ImageLimits = ImageLimits()


Corpus = Annotated[EmbeddedCorpus | WebDatasetCorpus, Field(discriminator="kind")]
