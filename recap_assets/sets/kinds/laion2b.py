"""DataComp's laion2b."""

from collections.abc import Iterator
from typing import Literal

import polars as pl
from pydantic import Field, ValidationInfo, field_validator

from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.graph.stage import Dependency, Outside, Project, metadata_outside
from recap_assets.scores.embeddings import metadata_folder
from recap_assets.sets.kind import Requirement, Row, Samples, TextSet, with_scores
from recap_assets.shards.metadata import metadata_scores
from recap_assets.specs.base import Name
from recap_assets.specs.references import Reference
from recap_assets.specs.sources import RAW


class Laion2b(TextSet):
    """DataComp's laion2b: LAION-2B's rule, a score of CLIP ViT-B/32 and English by CLD3."""

    kind: Literal["laion2b"]
    identifier: Name = Field(default="cld3", description="Which identifies the language.")
    threshold: float = Field(default=0.28, ge=-1, le=1, description="Smallest score, a cosine.")
    scorer: Name | None = Field(default=None, description="The scorer whose score of it counts.")
    pool_scores: str | None = Field(
        default=None,
        description="Instead of a scorer, the column of the pool's metadata that holds the score "
        "(clip_b32_similarity_score).",
    )

    @field_validator("pool_scores")
    @classmethod
    def _one_score(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "scorer" in info.data and (info.data["scorer"] is None) == (value is None):
            msg = "name either a `scorer` or a metadata column as `pool_scores`"
            raise ValueError(msg)
        source = info.data.get("source", RAW)
        if value is not None and source != RAW:
            msg = f"the metadata's scores are those of the raw text, not of {source!r}"
            raise ValueError(msg)
        return value

    def refers(self) -> Iterator[Reference]:
        """The text's, and the scorer."""
        yield from super().refers()
        if self.scorer is not None:
            yield Reference("scorer", self.scorer, "scorers")

    def metadata_columns(self) -> Iterator[tuple[str, str]]:
        """The column of scores."""
        if self.pool_scores is not None:
            yield "pool_scores", self.pool_scores

    def requirements(self) -> tuple[Requirement, ...]:
        """The language and the score."""
        # Scores are float32 and numpy compares them so: 0.28 counts where it is float32(0.28).
        holds = pl.col("score") >= pl.lit(self.threshold, dtype=pl.Float32)
        return (*self.of_text(), Requirement("low_score", holds, self._too_low))

    def _too_low(self, row: Row) -> str:
        score = row["score"]
        return "it has no score" if score is None else f"score {score:.5f} < {self.threshold:g}"

    def reads(self, name: str) -> Iterator[Dependency]:  # noqa: ARG002 - of all kinds
        """The scorer's scores."""
        if self.scorer is not None:
            yield Dependency(CLIP_SCORES.key(self.scorer, self.source), "same")

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:
        """With `score`."""
        if self.scorer is not None:
            return with_scores(known, samples, self.scorer, self.source)
        folder, column = metadata_folder(samples.project), self.pool_scores or ""
        return known.with_columns(score=metadata_scores(folder, column, known["uid"]))

    def outside(self, project: Project) -> Outside | None:
        """Version of the metadata that holds the scores."""
        return None if self.pool_scores is None else metadata_outside(project)
