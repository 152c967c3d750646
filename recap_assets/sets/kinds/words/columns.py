"""What is asked of a column of the pool."""

from collections.abc import Sequence
from typing import Annotated, Self

import polars as pl
from pydantic import Field, model_validator

from recap_assets.specs.base import Spec
from recap_assets.untrusted.showing import one_line

Value = bool | int | float | str
"""As it is written; of a text the letters count, of a number its value."""


class Bounds(Spec):
    """What a value must be."""

    at_least: float | None = Field(default=None, description="Smallest number.")
    at_most: float | None = Field(default=None, description="Greatest number.")
    any_of: tuple[Value, ...] = Field(default=(), max_length=1_000, description="One of these.")
    none_of: tuple[Value, ...] = Field(default=(), max_length=1_000, description="None of these.")

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.model_fields_set:
            msg = "name `at_least`, `at_most`, `any_of` or `none_of`"
            raise ValueError(msg)
        return self

    def holds(self, text: pl.Expr) -> pl.Expr:
        """Whether the text of a value is as asked; null where there is none."""
        number = text.cast(pl.Float64, strict=False)
        parts = [text.is_not_null()]
        if self.at_least is not None:
            parts.append(number >= self.at_least)
        if self.at_most is not None:
            parts.append(number <= self.at_most)
        if self.any_of:
            parts.append(_is_one_of(text, number, self.any_of))
        if self.none_of:
            parts.append(~_is_one_of(text, number, self.none_of))
        return pl.all_horizontal(parts)

    def __str__(self) -> str:
        """What is asked, for people."""
        told = [
            f"at least {self.at_least:g}" if self.at_least is not None else "",
            f"at most {self.at_most:g}" if self.at_most is not None else "",
            f"one of {_listed(self.any_of)}" if self.any_of else "",
            f"none of {_listed(self.none_of)}" if self.none_of else "",
        ]
        return " and ".join(part for part in told if part)


Asked = Annotated[
    Bounds | Value | tuple[Value, ...],
    Field(description="A value, several of which it may be one, or bounds."),
]


def bounds_of(asked: Bounds | Value | tuple[Value, ...]) -> Bounds:
    """The bounds that a value or several stand for."""
    if isinstance(asked, Bounds):
        return asked
    return Bounds(any_of=asked if isinstance(asked, tuple) else (asked,))


def _is_one_of(text: pl.Expr, number: pl.Expr, values: Sequence[Value]) -> pl.Expr:
    numbers = [float(one) for one in values if not isinstance(one, bool | str)]
    # As the pool's columns have them: truth as JSON has it.
    texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
    is_number = number.is_in(numbers).fill_null(value=False) if numbers else pl.lit(value=False)
    return text.is_in(texts) | is_number


def _listed(values: Sequence[Value], most: int = 8) -> str:
    more = f" or {len(values) - most:,} more" if len(values) > most else ""
    return ", ".join(one_line(repr(one), 80) for one in values[:most]) + more
