"""The best share of the pool."""

from pydantic import Field

from recap_assets.mixes.conditions.kind import Cutoff, Name, Place
from recap_assets.mixes.conditions.reaching import Ranks


class TopFraction(Ranks):
    """Own-quantile: the best `top` of the pool by this source's score (DataComp's tie rule)."""

    top: float = Field(
        gt=0, le=1, description="Share of the scored pool, in (0, 1]; 1.0 keeps all."
    )
    of: Name | None = Field(
        default=None, description="The source whose score ranks; by default the used one."
    )

    @property
    def named(self) -> str | None:
        """The source whose score ranks."""
        return self.of

    def cutoff(self, at: Place) -> Cutoff:
        """That of the share."""
        return Cutoff(f"{at.path}.top", "quantile", self.top, at.source(self.of))
