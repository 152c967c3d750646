"""The best of the pool, by number."""

from pydantic import Field

from recap_assets.mixes.conditions.kind import Cutoff, Name, Place
from recap_assets.mixes.conditions.reaching import Ranks


class TargetSize(Ranks):
    """The best `best` samples by this source's score, with all ties of the last one."""

    best: int = Field(gt=0, le=10**15, description="Samples to keep.")
    of: Name | None = Field(
        default=None, description="The source whose score ranks; by default the used one."
    )

    @property
    def named(self) -> str | None:
        """The source whose score ranks."""
        return self.of

    def cutoff(self, at: Place) -> Cutoff:
        """That of the number."""
        return Cutoff(f"{at.path}.best", "size", self.best, at.source(self.of))
