"""Scorers learned from preferences: what a user writes."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.specs.base import Name
from recap_assets.specs.fields import Content
from recap_assets.specs.references import EMBEDDINGS, Reference
from recap_assets.training.models.kind import ModelKind

DRAWN = "embedded"
JUDGED = "judgements"
"""Preferences that the gallery's page Compare wrote down."""


class PreferenceSpec(ModelKind):
    """A linear head on a scorer's frozen embeddings, learned from which text is the better one."""

    example = """\
referee: {kind: preference, scorer: clip, preferences: prefs.jsonl, samples_seen: 20000}
"""

    kind: Literal["preference"]
    scorer: Name = Field(description="The scorer whose embeddings are used, frozen.")
    preferences: Annotated[str, Content(names=(DRAWN, JUDGED))] = Field(
        description="A table (JSON lines, CSV, TSV, Parquet) of images of the pool with a better "
        "and a worse text: `uid` (32 hex digits), `better`, `worse`. `embedded`: drawn by the "
        "program, rich alt-text over partial over wrong. `judgements`: those of the table, which "
        "`recap look` writes."
    )
    rows_at_most: int = Field(
        default=200_000, gt=0, le=5_000_000, description="Preferences that are read, the first."
    )
    batch_size: int = Field(default=128, gt=0, le=65_536, description="Preferences of one step.")
    rate: float = Field(default=0.3, gt=0, le=10, description="AdamW's learning rate.")
    weight_decay: float = Field(default=0.05, ge=0, le=10, description="AdamW's weight decay.")
    seed: int = 0

    @property
    def learns_from(self) -> str:
        """The preferences."""
        return f"preferences by the embeddings of {self.scorer}"

    def refers(self) -> Iterator[Reference]:
        """The scorer."""
        yield from super().refers()
        yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)
