"""Several scores made into one: what a user writes."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from recap_assets.scores.kind import OwnScores
from recap_assets.specs.base import Name, Spec
from recap_assets.specs.references import Reference

MOST_PARTS = 64

Scale = Literal["raw", "z", "rank", "minmax"]


class CombinedPart(Spec):
    """One of the scores."""

    scorer: Name | None = Field(default=None, description="One of `scorers`: its score of a text.")
    image_scorer: Name | None = Field(
        default=None, description="One of `image_scorers`: its score of the image."
    )
    scale: Scale = Field(
        default="raw",
        description="raw; z: less the mean, over the deviation; rank: the midrank from 0 to 1; "
        "minmax: 0 for the pool's lowest, 1 for its highest.",
    )
    weight: float = Field(
        default=1.0,
        ge=-1e6,
        le=1e6,
        allow_inf_nan=False,
        description="Of a sum: what the scaled score is multiplied by; below 0 for what is bad.",
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.scorer is None) == (self.image_scorer is None):
            msg = "name a `scorer` or an `image_scorer`, and not both"
            raise ValueError(msg)
        return self

    def refers(self) -> Iterator[Reference]:
        """The scorer."""
        if self.scorer is not None:
            yield Reference("scorer", self.scorer, "scorers")
        if self.image_scorer is not None:
            yield Reference("image_scorer", self.image_scorer, "image_scorers")


class CombinedSpec(OwnScores):
    """The sum, product, least or greatest of other scores, each scaled by the whole pool's."""

    example = """\
both:
  kind: combined
  how: sum
  of: [{scorer: l14, scale: minmax, weight: 0.5}, {image_scorer: aesthetic, scale: rank}]
  over: raw                                    # the source whose scores the scales are of
"""

    bounded = False
    score_is = "combined score"

    kind: Literal["combined"]
    how: Literal["sum", "product", "min", "max"] = Field(
        default="sum", description="What is made of the scaled scores."
    )
    of: tuple[CombinedPart, ...] = Field(
        min_length=1, max_length=MOST_PARTS, description="The scores."
    )
    over: str | None = Field(
        default=None,
        description="The source whose scores decide the scales; by default the one that is scored.",
    )

    @model_validator(mode="after")
    def _weights_are_of_a_sum(self) -> Self:
        weighted = [number for number, part in enumerate(self.of) if part.weight != 1]
        if weighted and self.how != "sum":
            msg = f"of.{weighted[0]}.weight: only a sum has weights, and `how` is {self.how}"
            raise ValueError(msg)
        return self

    def refers(self) -> Iterator[Reference]:
        """The scorers, and the source of the scales."""
        yield from super().refers()
        if self.over is not None:
            yield Reference("over", self.over, "source_names")
