"""How alike an image is to those of a target set: what a user writes."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.engines.protocols import Places
from recap_assets.scores.of_images.kind import OwnImageScores
from recap_assets.scores.targets import Target, TargetError
from recap_assets.specs.base import Name
from recap_assets.specs.findings import Finding
from recap_assets.specs.kinds import OneOf
from recap_assets.specs.references import EMBEDDINGS, Reference


class NormSimSpec(OwnImageScores):
    """The norm of an image's cosines with those of a target set, such as ImageNet's."""

    example = """\
like_imagenet: {kind: norm_sim, scorer: l14, target: {images: /data/imagenet/train}}
"""

    kind: Literal["norm_sim"]
    scorer: Name = Field(description="Whose embeddings are compared.")
    target: Annotated[Target, OneOf("targets")] = Field(description="The images to be alike to.")
    norm: Literal["max", 2] = Field(
        default="max",
        description="max: the greatest cosine, without its sign; 2: the root of summed squares.",
    )

    def refers(self) -> Iterator[Reference]:
        """The scorer, and what the target names."""
        yield from super().refers()
        yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """A target that cannot be used."""
        try:
            self.target.check()
        except TargetError as error:
            yield False, f"{where}: {error}"
