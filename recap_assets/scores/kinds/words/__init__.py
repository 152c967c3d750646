"""Figures of a caption's words."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recap_assets.engines.protocols import Places, TextScorer
from recap_assets.scores.kind import ByTexts
from recap_assets.specs.fields import Content

OF_A_LIST = ("listed", "listed_share")


class WordsScorer(ByTexts):
    """A figure of a caption's words: how many, how varied, how many of a list; no model.

    Words are those of diversity's tokeniser: lower case, runs of letters and digits. `measure`:

    - `words`, `characters`: how many (white space around does not count);
    - `letters`: the share of letters among the characters that are no white space;
    - `variety`: different words, as a share of all;
    - `repetition`: the share of n-grams of `n` words that came before in the same text;
    - `listed`, `listed_share`: words that a list has, and their share: of visual words, of names.

    A share of nothing is no score. A list is compared word by word, in lower case: `dog` is not
    `dogs`. The share of visual tokens (arXiv 2307.10350, its section 5) is `listed_share` with a
    list of visual nouns and adjectives.
    """

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

    def open(self, places: Places) -> TextScorer:  # noqa: ARG002 - of all kinds
        """What counts."""
        from recap_assets.scores.kinds.words.engine import open_words

        return open_words(self)

    @property
    def called(self) -> str:
        """What is measured."""
        return self.measure
