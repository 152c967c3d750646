"""A fixed cut-off, or the one of another score."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from recap_assets.mixes.conditions.kind import ColumnName, Cutoff, OneOf, Place
from recap_assets.mixes.conditions.reaching import Ranks, Reaches

Number = Annotated[float, Field(allow_inf_nan=False)]


class AtLeast(Reaches):
    """Score at or above a cut-off: a number, or the cut-off of another score (transferred)."""

    at_least: Number | Annotated[Ranks, OneOf("conditions", below=Ranks)] = Field(
        description="A number on the scorer's scale (a cosine is in [-1, 1]), or "
        "{top: 0.3, of: raw} for the realised cut-off of that score."
    )
    of: ColumnName | None = Field(
        default=None, description="The score that is tested; by default that of the used source."
    )

    @property
    def named(self) -> str | None:
        """The score that is tested."""
        return self.of

    def phrase(self) -> str:
        """The score and the cut-off."""
        if isinstance(self.at_least, Ranks):
            return f"{self.by()} reaches the cut-off of {self.at_least.best_ones}"
        return f"{self.by()} is at least {self.at_least:g}"

    def cutoff(self, at: Place) -> Cutoff:
        """The number, or what the ranking comes to; one that names no score ranks the tested."""
        inner = at.below("at_least")
        if isinstance(self.at_least, Ranks):
            is_named = self.at_least.named is not None
            return self.at_least.cutoff(
                inner if is_named else replace(inner, used=at.column(self.of))
            )
        return Cutoff(inner.path, "absolute", self.at_least, at.column(self.of))
