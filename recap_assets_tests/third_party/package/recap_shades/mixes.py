"""A condition on the number of words of a caption, and a use that takes the shortest one."""

from collections.abc import Sequence

import polars as pl
from pydantic import Field

from recap_assets.mixes.conditions.kind import Condition, Known
from recap_assets.mixes.one_image import OneImage
from recap_assets.mixes.uses.kind import Use
from recap_assets.mixes.words import answer
from recap_assets.specs.base import Name
from recap_assets.specs.conditions import Place
from recap_assets.specs.uses import UseSpec


class Wordy(Condition):
    """Captions of at least so many words."""

    reads_texts = True

    words_at_least: int = Field(gt=0, description="Words.")
    of: Name | None = Field(default=None, description="Whose caption; by default the used one's.")

    @property
    def looks_at(self) -> tuple[str | None, ...]:
        """The named or the used source."""
        return (self.of,)

    def holds(self, at: Place, known: Known, parts: Sequence[pl.Expr]) -> pl.Expr:  # noqa: ARG002
        """Unknown where there is no caption."""
        text = pl.col(f"text.{at.source(self.of)}")
        return text.str.count_matches(r"\S+") >= self.words_at_least

    def words(self, at: Place, holds: bool | None, image: OneImage) -> str:
        """How many it has."""
        source = at.source(self.of)
        text = image.text(source)
        n = "no caption" if text is None else f"{len(text.split())} words"
        return f"{source} has {n}, and {self.words_at_least} are needed: {answer(holds)}"


class ShortestOf(Use):
    """Per image, the caption of the fewest characters; ties go to the source named first."""

    reads_texts = True

    shortest_of: tuple[Name, ...] = Field(min_length=2)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources."""
        return self.shortest_of

    def keeping(self, sources: Sequence[str]) -> UseSpec:
        """The shortest of these."""
        return ShortestOf(shortest_of=tuple(sources))

    def choice(self, uids: pl.Series) -> pl.Expr:  # noqa: ARG002 - no chance is in it
        """The first of the shortest."""
        lengths = [pl.col(f"text.{name}").str.len_chars() for name in self.shortest_of]
        least = pl.min_horizontal(lengths)
        return pl.coalesce(pl.when(n == least).then(pl.lit(i)) for i, n in enumerate(lengths))

    def words(self, image: OneImage, chosen: int | None, weight: float) -> str:  # noqa: ARG002
        """The shortest."""
        assert chosen is not None
        taken = image.scored(self.shortest_of[chosen])
        return f"shortest_of [{', '.join(self.shortest_of)}]: {taken}"
