"""Conditions of rules, as expressions that are true, false or unknown."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from recap_assets.specs.mixes import (
    AtLeast,
    Condition,
    Either,
    Every,
    InSet,
    Rule,
    TargetSize,
    TopFraction,
    Without,
)


@dataclass(frozen=True)
class Clause:
    """A condition of a rule, as decided on `Images.frame`.

    Attributes:
        condition: As the mix writes it.
        path: Where it stands in the mix.
        holds: True, false, or null where a missing score leaves it open.
        source: Whose score is compared with a cut-off; None where none is.
        cutoff: The path of that cut-off in the table `thresholds`.
        parts: The conditions that it is made of.
    """

    condition: Condition
    path: str
    holds: pl.Expr
    source: str | None = None
    cutoff: str | None = None
    parts: tuple["Clause", ...] = ()


def tested_by(rule: Rule) -> str | None:
    """The source whose score conditions test by default: the used one, where it is but one."""
    return rule.use if isinstance(rule.use, str) else None


def clause_of(
    condition: Condition,
    path: str,
    source: str | None,
    values: Mapping[str, float],
    sets: Mapping[str, pl.Series],
) -> Clause:
    """The condition as an expression over `Images.frame`, with those that it is made of.

    Args:
        condition: Of a rule, or within one.
        path: Where it stands in the mix.
        source: Whose score it tests by default.
        values: Cut-offs by their paths.
        sets: Members of the named sets.
    """
    match condition:
        case TopFraction() | TargetSize() | AtLeast():
            return _reaches(condition, path, condition.of or source, values)
        case InSet():
            is_member = pl.col("uid").is_in(sets[condition.in_set].implode())
            return Clause(condition, path, is_member)
        case Every() | Either() | Without():
            inside = parts_of(condition, path)
            parts = tuple(clause_of(c, p, source, values, sets) for c, p in inside)
            hold = [part.holds for part in parts]
            if isinstance(condition, Without):
                return Clause(condition, path, ~hold[0], parts=parts)
            combine = pl.all_horizontal if isinstance(condition, Every) else pl.any_horizontal
            return Clause(condition, path, combine(hold), parts=parts)


def _reaches(
    condition: TopFraction | TargetSize | AtLeast,
    path: str,
    tested: str | None,
    values: Mapping[str, float],
) -> Clause:
    cutoff, steps = condition, [path]
    if isinstance(cutoff, AtLeast):
        steps.append("at_least")
        cutoff = cutoff.at_least
    if not isinstance(cutoff, float):
        steps.append("top" if isinstance(cutoff, TopFraction) else "best")
    source, cutoff_path = required(tested, path), ".".join(steps)
    value = pl.lit(values[cutoff_path], dtype=pl.Float32)
    return Clause(condition, path, pl.col(f"score.{source}") >= value, source, cutoff_path)


def parts_of(condition: Every | Either | Without, path: str) -> list[tuple[Condition, str]]:
    """The conditions that it is made of, each with its path in the mix."""
    match condition:
        case Every():
            return [(part, f"{path}.all.{i}") for i, part in enumerate(condition.all)]
        case Either():
            return [(part, f"{path}.any.{i}") for i, part in enumerate(condition.any)]
        case Without():
            return [(condition.without, f"{path}.without")]


def required(source: str | None, path: str) -> str:
    """The source whose score is meant.

    Raises:
        ValueError: None is named, and the rule uses several.
    """
    if source is None:
        msg = f"{path}.of: say which source's score is meant, since the rule uses several"
        raise ValueError(msg)
    return source
