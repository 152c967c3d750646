"""The best of the pool, by number."""

from pydantic import Field

from recap_assets.mixes.conditions.kind import ColumnName, Cutoff, Place
from recap_assets.mixes.conditions.reaching import Ranks


class TargetSize(Ranks):
    """The best `best` samples by a score, with all ties of the last one."""

    best: int = Field(gt=0, le=10**15, description="Samples to keep.")
    of: ColumnName | None = Field(
        default=None, description="The score that ranks; by default that of the used source."
    )

    @property
    def named(self) -> str | None:
        """The score that ranks."""
        return self.of

    @property
    def best_ones(self) -> str:
        """The number and the score."""
        return f"the best {self.best:,} by {self.by()}"

    def cutoff(self, at: Place) -> Cutoff:
        """That of the number."""
        return Cutoff(f"{at.path}.best", "size", self.best, at.column(self.of))
