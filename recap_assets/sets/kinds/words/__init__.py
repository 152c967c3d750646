"""Sets by words of a text, and by columns of the pool."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import Field, StringConstraints, model_validator

from recap_assets.artefacts import POOL_COLUMNS
from recap_assets.graph.node import Dependency
from recap_assets.sets.kind import Requirement, Row, Samples, TextRule, TextSet
from recap_assets.sets.kinds.words.columns import Asked, Bounds, bounds_of
from recap_assets.sets.text_rule import LanguageCode
from recap_assets.specs.base import Name
from recap_assets.specs.references import Reference
from recap_assets.untrusted.showing import one_line

SIDES = ("width", "height")
"""Columns that every pool has: the sides of the original image, in pixels."""

MOST = 1_000
"""Words or patterns of one field; more are a list for `kind: entries`."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Words = Annotated[tuple[Word, ...], Field(max_length=MOST)]


class WordsSet(TextSet):
    """Samples by words of their text, any, all or none of some, and by columns of the pool.

    Where words are asked for, a sample without a text is in no such set, and where a column is, one
    without a value. Source of the use: keyword filters as HumanVLM's (arXiv 2411.03034), whose set
    of a domain is words and a score.
    """

    extra = ""
    example = """\
people: {kind: words, any: [man, woman, person], columns: {width: {at_least: 200}}}
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
    columns: dict[Name, Asked] = Field(
        default={},
        max_length=64,
        description="What columns must be: those of `pool.columns`, and `width` and `height` of "
        "the original image. A value, several, or bounds such as {at_least: 200}.",
    )

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if not (self._asks_words or self.columns):
            msg = "name words as `any`, `all` or `none`, or `columns`"
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

    @property
    def _asks_words(self) -> bool:
        return bool(self.any or self.all or self.none)

    @property
    def texts(self) -> TextRule | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Its own rule, where words are asked for."""
        return self if self._asks_words else None

    def refers(self) -> Iterator[Reference]:
        """The source, the identifier, and the columns."""
        yield from super().refers()
        for name in self._read_columns:
            yield Reference(f"columns.{name}", name, "column_names")

    @property
    def _read_columns(self) -> Sequence[str]:
        return [name for name in self.columns if name not in SIDES]

    def reads(self, name: str) -> Iterator[Dependency]:  # noqa: ARG002 - of all kinds
        """The columns."""
        yield from (Dependency(POOL_COLUMNS.key(one), "same") for one in self._read_columns)

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:
        """With `column.NAME`, the text of each column that is asked for."""
        tables = samples.project.workspace.tables
        for name in self.columns:
            if name in SIDES:
                known = known.with_columns(pl.col(name).cast(pl.String).alias(f"column.{name}"))
                continue
            rows = tables.scan(POOL_COLUMNS, column=name, partition=samples.partition)
            found = rows.select("uid", pl.col("text").alias(f"column.{name}")).collect()
            known = known.join(found, on="uid", how="left", maintain_order="left")
        return known

    def requirements(self) -> tuple[Requirement, ...]:
        """The columns, and a text with the words that are asked for and without the others."""
        columns = (self._of_column(name, bounds_of(one)) for name, one in self.columns.items())
        return (*(self._of_words() if self._asks_words else ()), *columns)

    def _of_column(self, name: str, asked: Bounds) -> Requirement:
        def words(row: Row) -> str:
            value = row[f"column.{name}"]
            has = f"is {one_line(value, 200)!r}" if value is not None else "has no value"
            return f"its {name} {has}; {asked} is asked for"

        return Requirement(f"other_{name}", asked.holds(pl.col(f"column.{name}")), words)

    def _of_words(self) -> tuple[Requirement, ...]:
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
