"""The captions of several sources, each a pair of its own."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from recap_assets.mixes.uses.kind import Name, OneImage, Use, UseSpec, joined


class Each(Use):
    """Per image, one pair for every source; training draws one by weight at each sight."""

    gives_several = True

    each: dict[Name, Annotated[float, Field(gt=0)]] = Field(min_length=2)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources."""
        return tuple(self.each)

    def share(self, source: str) -> float:
        """The weight of the source."""
        return self.each[source]

    def keeping(self, sources: Sequence[str]) -> UseSpec:
        """A pair for each of these."""
        return Each(each={name: self.each[name] for name in sources})

    def phrase(self) -> str:
        """The sources with their weights."""
        weighted = [f"{name} (weight {weight:g})" for name, weight in self.each.items()]
        return f"each of {joined(weighted)}"

    def words(self, image: OneImage, chosen: int | None, weight: float) -> str:  # noqa: ARG002
        """Each caption with its weight."""
        captions = ", ".join(
            f"{image.scored(name)}, weight {weight * self.each[name]:g}"
            for name in self.each
            if image.has_text(name)
        )
        return f"each of [{', '.join(self.each)}]: {captions}"
