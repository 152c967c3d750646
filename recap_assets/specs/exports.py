"""Exports: what every kind of them has, and which of them a trainer reads.

A kind is below `exports.kind.ExportKind`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.fields import Address
from recap_assets.specs.kinds import OneOf
from recap_assets.specs.references import Reference

ImageFormat = Literal["jpg", "png", "webp", "gif"]

EXTENSIONS: Mapping[str, ImageFormat] = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}
"""Extension of each format that the pool's index finds by content."""

READ_BY_OPEN_CLIP: tuple[ImageFormat, ...] = ("jpg", "png", "webp")
"""open_clip's loader takes samples with a jpg, png, jpeg or webp member; a GIF it drops without a
word (`filter_no_caption_or_no_image` in its training/data.py)."""

FOR_TRAINING = "webdataset"
"""The kind of the export that is added for a mix which has none that open_clip's trainer reads."""


class ExportSpec(Spec):
    """A mix written out in the form that another tool reads."""

    mix: Name = Field(description="The mix that is written out.")
    folder: Annotated[str | None, Address] = Field(
        default=None,
        description="A folder or a bucket's URL; by default exports/<name> beside the experiment's "
        "other results.",
    )

    @property
    def trains(self) -> bool:
        """Whether open_clip's trainer can read it, and draw each pair by its weight."""
        return False

    def sources_along(self, all_sources: Sequence[str]) -> Sequence[str]:  # noqa: ARG002 - of some kinds
        """Those of the experiment's sources whose captions go along with the chosen text."""
        return ()

    def refers(self) -> Iterator[Reference]:
        """The mix."""
        yield from super().refers()
        yield Reference("mix", self.mix, "mixes")


Export = Annotated[ExportSpec, OneOf("exports")]


def parse_export(values: Mapping[str, object]) -> ExportSpec:
    """An export that is part of no experiment, by the fields that one would have.

    Raises:
        ValidationError: No kind of export has these.
    """
    adapter: TypeAdapter[ExportSpec] = TypeAdapter(Export)
    return adapter.validate_python(values)


def added_name(mix: str) -> str:
    """Name of the export that is added for training on a mix."""
    return f"training_{mix}"


def training_export(exports: Mapping[str, ExportSpec], mix: str) -> str | None:
    """The first export of a mix that open_clip's trainer reads; None where there is none."""
    fitting = (name for name, one in exports.items() if one.mix == mix and one.trains)
    return next(fitting, None)


def with_training_exports(
    exports: Mapping[str, ExportSpec], mixes: Iterable[str]
) -> dict[str, ExportSpec]:
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
                    f"training on shards adds an export {name} for mixes.{mix}, and that name is "
                    "taken or too long: rename the export or the mix"
                )
                raise ValueError(msg)
            found[name] = parse_export({"to": FOR_TRAINING, "mix": mix, "captions": ()})
    return found
