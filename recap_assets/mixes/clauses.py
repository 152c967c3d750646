"""Conditions of rules where they stand: the expressions of each and of those that it is made of."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from recap_assets.mixes.conditions.kind import Condition, Known
from recap_assets.specs.conditions import ConditionSpec, Place
from recap_assets.specs.kinds import fitting


@dataclass(frozen=True)
class Clause:
    """A condition of a rule, as decided on `Images.frame`.

    Attributes:
        condition: As the mix writes it.
        at: Where it is in the mix.
        holds: True, false, or null where a missing score leaves it open.
        parts: The conditions that it is made of.
    """

    condition: Condition
    at: Place
    holds: pl.Expr
    parts: tuple["Clause", ...] = ()

    def all_within(self) -> Iterator["Clause"]:
        """It, and all that it is made of."""
        yield self
        for part in self.parts:
            yield from part.all_within()


def clause_of(condition: ConditionSpec, at: Place, known: Known) -> Clause:
    """The condition as an expression, with those that it is made of.

    Raises:
        KeyError: A cut-off or a set that it names is not known.
    """
    kind = fitting(at.path, condition, Condition)
    inside = kind.inside().items()
    parts = tuple(clause_of(part, at.below(field), known) for field, part in inside)
    return Clause(kind, at, kind.holds(at, known, [part.holds for part in parts]), parts)
