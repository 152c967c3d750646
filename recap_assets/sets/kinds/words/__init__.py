"""Sets by words of a text."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import Field, StringConstraints, model_validator

from recap_assets.sets.kind import Requirement, TextSet
from recap_assets.sets.text_rule import LanguageCode

MOST = 1_000
"""Words or patterns of one field; more are a list for `kind: entries`."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Words = Annotated[tuple[Word, ...], Field(max_length=MOST)]


class WordsSet(TextSet):
    """Samples by words of their text: any of some, all of others, none of yet others.

    A text without any word, or none at all, is in no such set. Source of the use: keyword filters
    as HumanVLM's (arXiv 2411.03034), whose set of a domain is words and a score.
    """

    extra = ""
    example = """\
people: {kind: words, any: [man, woman, person], none: [mannequin]}
"""

    kind: Literal["words"]
    language: LanguageCode | None = Field(
        default=None, description="The text's language by the identifier; null for any."
    )
    any: Words = Field(default=(), description="The text has at least one of these.")
    all: Words = Field(default=(), description="The text has each of these.")
    none: Words = Field(default=(), description="The text has none of these.")
    match: Literal["words", "letters", "patterns"] = Field(
        default="words",
        description="How they are found: as whole words (or several, with spaces between), as "
        "letters anywhere, or as regular expressions of Rust's `regex`, which take linear time.",
    )
    case: bool = Field(default=False, description="Whether upper and lower case differ.")

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if not (self.any or self.all or self.none):
            msg = "name words as `any`, `all` or `none`"
            raise ValueError(msg)
        for field in ("any", "all", "none"):
            self._check(field, getattr(self, field))
        return self

    def _check(self, field: str, words: Sequence[str]) -> None:
        if blank := [one for one in words if not one.strip()]:
            msg = f"{field}: {blank[0]!r} has no letter"
            raise ValueError(msg)
        try:
            pl.select(self._has(pl.lit(""), words))
        except pl.exceptions.ComputeError as error:
            msg = f"{field}: no regular expression: {error}"
            raise ValueError(msg) from error

    def requirements(self) -> tuple[Requirement, ...]:
        """A text, with the words that are asked for and without the others."""
        text, found = pl.col("text"), [*self.of_text()]
        if self.any:
            found.append(
                Requirement(
                    "no_such_word", self._has(text, self.any), lambda _: self._lacks(self.any)
                )
            )
        if self.all:
            each = pl.all_horizontal(self._has(text, [one]) for one in self.all)
            found.append(
                Requirement(
                    "missing_word",
                    each,
                    lambda row: self._lacks(self._of(row["text"], self.all, has=False)),
                )
            )
        if self.none:
            found.append(
                Requirement(
                    "unwanted_word",
                    ~self._has(text, self.none),
                    lambda row: f"it has {_listed(self._of(row['text'], self.none, has=True))}",
                )
            )
        return tuple(found)

    def _has(self, text: pl.Expr, words: Sequence[str]) -> pl.Expr:
        """Whether a text has at least one of the words."""
        if not words:
            return pl.lit(value=False)
        return text.str.contains(f"{'' if self.case else '(?i)'}{self._pattern(words)}")

    def _pattern(self, words: Sequence[str]) -> str:
        if self.match == "patterns":
            return "|".join(f"(?:{one})" for one in words)
        spelled = (r"\s+".join(pl.escape_regex(part) for part in one.split()) for one in words)
        either = f"(?:{'|'.join(spelled)})"
        return either if self.match == "letters" else rf"(?:^|\W){either}(?:\W|$)"

    def _of(self, text: str, words: Sequence[str], *, has: bool) -> Sequence[str]:
        return [one for one in words if pl.select(self._has(pl.lit(text), [one])).item() == has]

    @staticmethod
    def _lacks(words: Sequence[str]) -> str:
        return f"it has not {_listed(words)}"


def _listed(words: Sequence[str], most: int = 8) -> str:
    more = f" or {len(words) - most:,} more" if len(words) > most else ""
    return ", ".join(f"{one!r}" for one in words[:most]) + more
