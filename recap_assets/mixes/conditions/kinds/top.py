"""The best share of the pool."""

from pydantic import Field

from recap_assets.mixes.conditions.kind import ColumnName, Cutoff, Place, percent
from recap_assets.mixes.conditions.reaching import Ranks


class TopFraction(Ranks):
    """Own-quantile: the best `top` of the pool by a score (DataComp's tie rule)."""

    top: float = Field(
        gt=0, le=1, description="Share of the scored pool, in (0, 1]; 1.0 keeps all."
    )
    of: ColumnName | None = Field(
        default=None, description="The score that ranks; by default that of the used source."
    )

    @property
    def named(self) -> str | None:
        """The score that ranks."""
        return self.of

    @property
    def best_ones(self) -> str:
        """The share and the score."""
        return f"the best {percent(self.top)} by {self.by()}"

    def cutoff(self, at: Place) -> Cutoff:
        """That of the share."""
        return Cutoff(f"{at.path}.top", "quantile", self.top, at.column(self.of))
