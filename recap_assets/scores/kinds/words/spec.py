"""Figures of a caption's words: what a user writes."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recap_assets.scores.kind import ByTexts
from recap_assets.specs.fields import Content

OF_A_LIST = ("listed", "listed_share")


class WordsSpec(ByTexts):
    """A figure of a caption's words: how many, how varied, how many of a list; no model."""

    example = """\
length: {kind: words, measure: words}
visual: {kind: words, measure: listed_share, words: /data/visual_words.txt}
"""

    bounded = False
    score_is = "figure of a caption's words"
    framework = "polars"

    kind: Literal["words"]
    measure: Literal[
        "words", "characters", "letters", "variety", "repetition", "listed", "listed_share"
    ] = Field(default="words", description="What is measured.")
    n: int = Field(default=2, gt=0, le=16, description="repetition: words of an n-gram.")
    words: Annotated[str | None, Content(names=("embedded",))] = Field(
        default=None,
        description="listed: a file with a word a line, `#` begins a comment; `embedded` has the "
        "embedded world's nouns.",
    )

    @model_validator(mode="after")
    def _has_a_list(self) -> Self:
        if (self.measure in OF_A_LIST) != (self.words is not None):
            msg = f"`words`, a list, goes with measure {' or '.join(OF_A_LIST)}"
            raise ValueError(msg)
        return self

    @property
    def called(self) -> str:
        """What is measured."""
        return self.measure
