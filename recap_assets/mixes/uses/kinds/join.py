"""The captions of several sources as one text."""

from collections.abc import Iterator, Sequence

import polars as pl
from pydantic import Field

from recap_assets.mixes.uses.kind import Depth, Images, Name, OneImage, Taken, Use, UseSpec, joined


class Join(Use):
    """Per image, the captions of several sources joined into one text; its score is their mean."""

    why_one_candidate = "`join` makes one text of the best candidate of each source"

    join: tuple[Name, ...] = Field(min_length=2)
    separator: str = " "

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources."""
        return self.join

    def keeping(self, sources: Sequence[str]) -> UseSpec:
        """These, joined alike."""
        return Join(join=tuple(sources), separator=self.separator)

    def usable(self) -> pl.Expr:
        """Whether every source has a text."""
        return pl.all_horizontal(f"has.{source}" for source in self.join)

    def taken(self, images: Images, depth: Depth, choice: pl.Expr | None) -> Iterator[Taken]:  # noqa: ARG002
        """One text; its candidate number is the first source's."""
        texts = pl.concat_str([images.text(name) for name in self.join], separator=self.separator)
        scores = [pl.col(f"score.{name}").cast(pl.Float64) for name in self.join]
        yield Taken(
            source="+".join(self.join),
            candidate=pl.col(f"candidate.{self.join[0]}"),
            text=texts,
            score=pl.mean_horizontal(scores, ignore_nulls=False),
        )

    def phrase(self) -> str:
        """The sources."""
        return f"{joined(self.join)}, joined"

    def words(self, image: OneImage, chosen: int | None, weight: float) -> str:  # noqa: ARG002
        """The captions that are joined."""
        scored = ", ".join(image.scored(name) for name in self.join)
        return f"join [{', '.join(self.join)}]: {scored}"

    def why_unusable(self, image: OneImage) -> str:
        """Which text is missing."""
        absent = [name for name in self.join if not image.has_text(name)]
        have = "has" if len(absent) == 1 else "have"
        return f"join needs the text of [{', '.join(self.join)}], and {joined(absent)} {have} none"
