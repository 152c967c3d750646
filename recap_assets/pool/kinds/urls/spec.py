"""A list of URLs that img2dataset fetches: what a user writes."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recap_assets.pool.kind import TarPool
from recap_assets.specs.base import Spec
from recap_assets.specs.fields import Address, Speed
from recap_assets.specs.quotes import Quotes


class HashCheck(Spec):
    """A hash of each image's bytes as served; where it differs the image counts as failed."""

    column: str = Field(description="Column of the list with the hash in hex digits.")
    algorithm: Literal["md5", "sha256", "sha512"] = "sha256"


class UrlSpec(TarPool):
    """A list of URLs that img2dataset fetches into shards; the defaults are DataComp's."""

    installed_by = "recap install-img2dataset"
    example = """\
kind: urls
urls: /data/datacomp_small/metadata            # parquet, csv, tsv, jsonl: `url`, `text`, `uid`
samples_per_shard: 10000                       # see docs/downloading.md
"""

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

    @model_validator(mode="after")
    def _quality_fits_format(self) -> Self:
        if self.encode_format == "png" and self.encode_quality > 9:
            msg = (
                f"encode_quality: {self.encode_quality} is no png compression; give 0 to 9 with "
                "encode_format png"
            )
            raise ValueError(msg)
        return self

    @property
    def metadata_folder(self) -> str | None:
        """The folder of `metadata`."""
        return self.metadata
