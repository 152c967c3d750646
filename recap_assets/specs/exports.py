"""Exports: a mix written out in the form that another tool reads."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.fields import Address
from recap_assets.specs.mixes import Each, Mix

ImageFormat = Literal["jpg", "png", "webp", "gif"]

EXTENSIONS: Mapping[str, ImageFormat] = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}
"""Extension of each format that the pool's index tells by content."""

READ_BY_OPEN_CLIP: tuple[ImageFormat, ...] = ("jpg", "png", "webp")
"""open_clip's loader takes samples with a jpg, png, jpeg or webp member; a GIF it drops without a
word (`filter_no_caption_or_no_image` in its training/data.py)."""


class _Export(Spec):
    mix: Name = Field(description="The mix that is written out.")
    folder: Annotated[str | None, Address] = Field(
        default=None,
        description="A folder or a bucket's URL; by default exports/<name> beside the experiment's "
        "other results.",
    )


class _WithImages(_Export):
    captions: Literal["all"] | tuple[Name, ...] = Field(
        default="all", description="Sources whose captions go along with the chosen text."
    )
    formats: tuple[ImageFormat, ...] = Field(
        default=READ_BY_OPEN_CLIP,
        min_length=1,
        description="Image formats that are written; pairs with others are left out and counted. "
        "By default what open_clip's loader reads.",
    )


class SubsetExport(_Export):
    """DataComp's subset files: sorted uids, one file for each caption source."""

    to: Literal["subset"]


class WebDatasetExport(_WithImages):
    """Tar shards as DataComp's resharder writes them, with the chosen text of each image."""

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


class HuggingFaceExport(_WithImages):
    """Parquet files with a dataset card and Croissant metadata."""

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
        default=100,
        gt=0,
        le=1_000_000,
        description="Rows of one row group: what a reader must load at once.",
    )
    license: str | None = Field(
        default=None, description="The Hub's identifier of the licence, such as cc-by-4.0."
    )


class TextToImageExport(_WithImages):
    """Image files beside metadata.jsonl, the `imagefolder` that diffusers' trainers read."""

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


Export = Annotated[
    SubsetExport | WebDatasetExport | HuggingFaceExport | TextToImageExport,
    Field(discriminator="to"),
]

ShardedExport = WebDatasetExport | HuggingFaceExport | TextToImageExport

EXPORT: TypeAdapter[Export] = TypeAdapter(Export)
"""Checks an export that is not part of an experiment."""


def weights_vary(mix: Mix, export: ShardedExport) -> bool:
    """Whether samples of the export may have different weights, as the mix is written."""
    weights = set(_weights(mix))
    several = mix.combine == "all" or any(isinstance(rule.use, Each) for rule in mix.rules)
    summed = isinstance(export, WebDatasetExport) and export.positives == "json"
    return len(weights) > 1 or (summed and several)


def _weights(mix: Mix) -> Iterator[float]:
    for rule in mix.rules:
        shares = rule.use.each.values() if isinstance(rule.use, Each) else (1.0,)
        for share in shares:
            yield rule.weight * share


def added_name(mix: str) -> str:
    """Name of the export that is added for training on a mix."""
    return f"training_{mix}"


def training_export(exports: Mapping[str, Export], mix: str) -> str | None:
    """The first export of a mix that open_clip's trainer reads; None where there is none."""
    for name, export in exports.items():
        if isinstance(export, WebDatasetExport) and export.mix == mix and _is_drawn_right(export):
            return name
    return None


def with_training_exports(
    exports: Mapping[str, Export], mixes: Mapping[str, Mix]
) -> dict[str, Export]:
    """The exports, and behind them one for each mix that has none that a trainer can read.

    Raises:
        ValueError: The name of an added one is too long or taken by another export.
    """
    found = dict(exports)
    for mix in mixes:
        if training_export(exports, mix) is None:
            name = added_name(mix)
            if len(name) > 64 or name in exports:
                msg = (
                    f"training by torchrun adds an export {name} for mixes.{mix}, and that name is "
                    "taken or too long: rename the export or the mix"
                )
                raise ValueError(msg)
            found[name] = WebDatasetExport(to="webdataset", mix=mix, captions=())
    return found


def _is_drawn_right(export: WebDatasetExport) -> bool:
    # A trainer that draws one text of an image would have to read the json.
    return export.by_weight and export.positives == "samples"
