"""Captions of the regions of an image: what a user writes."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recap_assets.captions.kind import Captioning, OwnAssets
from recap_assets.captions.served import Served
from recap_assets.engines.protocols import Places
from recap_assets.specs.base import Name, Spec
from recap_assets.specs.findings import Finding
from recap_assets.specs.kinds import OneOf
from recap_assets.specs.references import Reference
from recap_assets.specs.sources import MOST_CANDIDATES


class RegionsSpec(OwnAssets):
    """What a captioner says of the regions of an image, each region a candidate."""

    example = """\
things:
  kind: regions
  boxes: boxes   # of `pool.columns`
  by: {kind: transformers, model: Salesforce/blip-image-captioning-base}
"""

    of_image_alone = True

    kind: Literal["regions"]
    boxes: Name = Field(description="The column of the pool with the boxes.")
    by: Annotated[Captioning, OneOf("captions", below=Captioning)] = Field(
        description="The captioner, written as a source is."
    )
    corners: Literal["xyxy", "xywh"] = Field(
        default="xyxy",
        description="xyxy: a box is left, upper, right, lower. xywh: left, upper, width, height.",
    )
    unit: Literal["share", "pixel"] = Field(
        default="share",
        description="share: of the image's width and height, 0 to 1. pixel: of the image as the "
        "pool has it, which img2dataset may have made smaller.",
    )
    keep: int = Field(default=4, gt=0, le=MOST_CANDIDATES, description="Boxes of an image.")
    smallest: int = Field(
        default=8, gt=0, le=65_536, description="Shortest side of a region, in pixels."
    )

    @model_validator(mode="after")
    def _captions_every_image(self) -> Self:
        if self.by.only is not None:
            msg = "by.only: every image's regions are captioned; leave it out"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _candidates_can_be_counted(self) -> Self:
        if (n := self.keep * self.by.candidates) > MOST_CANDIDATES:
            msg = f"keep: {n} captions of an image, at most {MOST_CANDIDATES} are; lower it"
            raise ValueError(msg)
        return self

    @property
    def served(self) -> Served | None:
        """What `recap serve-captioner` starts a server for."""
        return self.by.served

    def refers(self) -> Iterator[Reference]:
        """The column, and what the captioner names."""
        yield from super().refers()
        yield Reference("boxes", self.boxes, "column_names")

    def problems(self, models: Mapping[str, Spec]) -> Iterator[str]:
        """What does not fit the models of the experiment."""
        yield from (f"by.{problem}" for problem in self.by.problems(models))

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:
        """What the captioner finds."""
        yield from self.by.doctor(f"{where}.by", places)
