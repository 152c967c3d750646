"""Images by a score of their own."""

from collections.abc import Iterator
from typing import Literal, Self

import polars as pl
from pydantic import Field, model_validator

from recap_assets.artefacts.scores import IMAGE_SCORES
from recap_assets.graph.node import Dependency
from recap_assets.sets.kind import ComputedSet, Requirement, Samples
from recap_assets.specs.base import Name
from recap_assets.specs.references import Reference


class ImageScoreRule(ComputedSet):
    """Images by a score of their own: aesthetic enough, safe, without a watermark."""

    kind: Literal["image_score"]
    scorer: Name = Field(description="One of `image_scorers`.")
    at_least: float | None = Field(default=None, description="Smallest score of a member.")
    at_most: float | None = Field(default=None, description="Greatest score of a member.")

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.at_least is None and self.at_most is None:
            msg = "name `at_least`, `at_most` or both"
            raise ValueError(msg)
        return self

    def refers(self) -> Iterator[Reference]:
        """The image scorer."""
        yield Reference("scorer", self.scorer, "image_scorers")

    def requirements(self) -> tuple[Requirement, ...]:
        """That there is a score, and that it is within the bounds."""
        score = pl.col("image_score")
        there = Requirement(
            "no_image_score", score.is_not_null(), lambda _: "its image has no score"
        )
        # As with other scores: a number in the file is compared as a float32.
        found = [there]
        if (least := self.at_least) is not None:
            holds = score >= pl.lit(least, dtype=pl.Float32)
            found.append(self._bound("low_image_score", holds, f"< {least:g}"))
        if (most := self.at_most) is not None:
            holds = score <= pl.lit(most, dtype=pl.Float32)
            found.append(self._bound("high_image_score", holds, f"> {most:g}"))
        return tuple(found)

    def _bound(self, reason: str, holds: pl.Expr, wrong: str) -> Requirement:
        return Requirement(
            reason, holds, lambda row: f"{self.scorer} gives it {row['image_score']:.4f} {wrong}"
        )

    def reads(self, name: str) -> Iterator[Dependency]:  # noqa: ARG002 - of all kinds
        """The scores of images."""
        yield Dependency(IMAGE_SCORES.key(self.scorer), "same")

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:
        """With `image_score`; null where there is none."""
        scored = samples.project.workspace.tables.read(
            IMAGE_SCORES, scorer=self.scorer, partition=samples.partition
        )
        found = scored.select("uid", image_score="score")
        return known.join(found, on="uid", how="left", maintain_order="left")
