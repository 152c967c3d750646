"""Requirements: what a sample must be to be in a set, one after the other.

Each is an expression on a frame of facts, a row a sample: those of `sets.facts`, and those that the
set's kind adds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

NO_TEXT = "no_text"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Requirement:
    """One thing that a sample of the set must be.

    Attributes:
        reason: What is counted where it is not.
        holds: On the frame of facts; null is not accepted.
        words: What is wrong with a row for which it does not hold.
    """

    reason: str
    holds: pl.Expr
    words: Callable[[Row], str]


def reasons(requirements: Sequence[Requirement], facts: pl.DataFrame) -> pl.Series:
    """The first reason why each sample is not in the set; null where it is."""
    missed = [
        pl.when(~one.holds.fill_null(value=False)).then(pl.lit(one.reason)) for one in requirements
    ]
    first = pl.coalesce(*missed, pl.lit(None, dtype=pl.String))
    # Literals alone would give one row.
    return facts.with_columns(reason=first)["reason"]


def failures(requirements: Sequence[Requirement], facts: pl.DataFrame) -> list[str]:
    """In words, all that keeps one sample out of the set.

    Args:
        requirements: Of the set.
        facts: One row.
    """
    if not requirements:
        return []
    row = facts.row(0, named=True)
    held = facts.select(
        one.holds.fill_null(value=False).alias(str(i)) for i, one in enumerate(requirements)
    )
    wrong = [one for one, good in zip(requirements, held.row(0), strict=True) if not good]
    # Without a text nothing else about it is worth saying.
    has_no_text = row.get("text", "") is None
    return [one.words(row) for one in wrong if not has_no_text or one.reason == NO_TEXT]


def more_than(unit: str, column: str, too_few: int) -> Requirement:
    """That a text has more than a number of words, characters or tokens, which a column counts."""

    def words(row: Row) -> str:
        n = row[column]
        return f"only {n} {unit}{'' if n == 1 else 's'}; more than {too_few} are asked for"

    return Requirement(f"too_few_{unit}s", pl.col(column) > too_few, words)
