"""A fixed cut-off, or the one of another source."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from recap_assets.mixes.conditions.kind import Cutoff, Name, OneOf, Place
from recap_assets.mixes.conditions.reaching import Ranks, Reaches

Cosine = Annotated[float, Field(ge=-1, le=1)]


class AtLeast(Reaches):
    """Score at or above a cut-off: a number, or the cut-off of another source (transferred)."""

    at_least: Cosine | Annotated[Ranks, OneOf("conditions", below=Ranks)] = Field(
        description="A cosine in [-1, 1], or {top: 0.3, of: raw} for that source's realised "
        "cut-off."
    )
    of: Name | None = Field(
        default=None, description="The source that is tested; by default the used one."
    )

    @property
    def named(self) -> str | None:
        """The source that is tested."""
        return self.of

    def cutoff(self, at: Place) -> Cutoff:
        """The number, or what the ranking comes to; one that names no source ranks the tested."""
        inner = at.below("at_least")
        if isinstance(self.at_least, Ranks):
            return self.at_least.cutoff(replace(inner, used=self.of or at.used))
        return Cutoff(inner.path, "absolute", self.at_least, at.source(self.of))
