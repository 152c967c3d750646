"""Which text of a sample a set checks, and in which language it must be."""

from collections.abc import Iterator
from typing import Annotated

import polars as pl
from pydantic import Field

from recap_assets.sets.rules import NO_TEXT, Requirement
from recap_assets.specs.base import Name, Spec
from recap_assets.specs.references import Reference
from recap_assets.specs.sources import RAW

LanguageCode = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z]+)?$")]


class TextRule(Spec):
    """The text that is checked: of which source, in which language."""

    source: Name = Field(
        default=RAW,
        description="The caption source whose text is checked (its first usable candidate); "
        "DataComp checks the raw text.",
    )
    language: LanguageCode | None = Field(
        default="en", description="The text's language by the identifier; null for any."
    )
    identifier: Name = Field(default="fasttext", description="Which identifies the language.")

    @property
    def identifies(self) -> bool:
        """Whether the language of its texts has to be known."""
        return self.language is not None

    def refers(self) -> Iterator[Reference]:
        """The source and the identifier."""
        yield Reference("source", self.source, "source_names")
        yield Reference("identifier", self.identifier, "identifiers")
        yield from super().refers()

    def of_text(self) -> tuple[Requirement, ...]:
        """That there is a text, and that it is in the language."""
        there = Requirement(
            NO_TEXT, pl.col("text").is_not_null(), lambda _: f"{self.source} has no text"
        )
        if self.language is None:
            return (there,)
        in_language = Requirement(
            "other_language",
            pl.col("language") == self.language,
            lambda row: (
                f"its language is {row['language']} by {self.identifier}, not {self.language}"
            ),
        )
        return there, in_language
