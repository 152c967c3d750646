"""Conditions that are made of others."""

from collections.abc import Mapping, Sequence

import polars as pl
from pydantic import Field

from recap_assets.mixes.conditions.kind import (
    AnyCondition,
    Condition,
    ConditionSpec,
    Known,
    OneImage,
    Place,
    answer,
    phrase_of,
)


class Every(Condition):
    """Intersection: all of the conditions."""

    all: tuple[AnyCondition, ...] = Field(min_length=1)

    def inside(self) -> Mapping[str, ConditionSpec]:
        """The conditions."""
        return {f"all.{i}": part for i, part in enumerate(self.all)}

    def holds(self, at: Place, known: Known, parts: Sequence[pl.Expr]) -> pl.Expr:  # noqa: ARG002
        """One that does not hold decides alone."""
        return pl.all_horizontal(parts)

    def words(self, at: Place, holds: bool | None, image: OneImage) -> str:  # noqa: ARG002, FBT001
        """How many there are."""
        return f"all of {len(self.all)} conditions: {answer(holds)}"

    def phrase(self) -> str:
        """Those of its conditions."""
        return _linked(self.all, "and")


class Either(Condition):
    """Union: at least one of the conditions."""

    any: tuple[AnyCondition, ...] = Field(min_length=1)

    def inside(self) -> Mapping[str, ConditionSpec]:
        """The conditions."""
        return {f"any.{i}": part for i, part in enumerate(self.any)}

    def holds(self, at: Place, known: Known, parts: Sequence[pl.Expr]) -> pl.Expr:  # noqa: ARG002
        """One that holds decides alone."""
        return pl.any_horizontal(parts)

    def words(self, at: Place, holds: bool | None, image: OneImage) -> str:  # noqa: ARG002, FBT001
        """How many there are."""
        return f"any of {len(self.any)} conditions: {answer(holds)}"

    def phrase(self) -> str:
        """Those of its conditions."""
        return _linked(self.any, "or")


class Without(Condition):
    """Difference: where the condition does not hold."""

    without: AnyCondition

    def inside(self) -> Mapping[str, ConditionSpec]:
        """The condition."""
        return {"without": self.without}

    def holds(self, at: Place, known: Known, parts: Sequence[pl.Expr]) -> pl.Expr:  # noqa: ARG002
        """The contrary; what is unknown stays so."""
        return ~parts[0]

    def words(self, at: Place, holds: bool | None, image: OneImage) -> str:  # noqa: ARG002, FBT001
        """Whether it holds."""
        return f"without this condition: {answer(holds)}"

    def phrase(self) -> str:
        """The contrary of its condition's."""
        return f"not ({phrase_of(self.without)})"


def _linked(parts: Sequence[ConditionSpec], word: str) -> str:
    """Those that are made of others in brackets."""
    return f" {word} ".join(
        f"({phrase_of(part)})" if len(part.inside()) > 1 else phrase_of(part) for part in parts
    )
