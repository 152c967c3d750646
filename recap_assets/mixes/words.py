"""Numbers and names in the sentences of an explanation."""

from collections.abc import Sequence

_DIGITS, _MOST_DIGITS = 4, 17


def answer(holds: bool | None) -> str:  # noqa: FBT001 - an answer
    """Whether a condition holds; null is a missing score."""
    return {True: "yes", False: "no", None: "unknown, which is not accepted"}[holds]


def joined(names: Sequence[str]) -> str:
    """`a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def percent(fraction: float) -> str:
    """`30 %`."""
    return f"{100 * fraction:g} %"


def distinguished(*values: float) -> list[str]:
    """The numbers with four digits, or with as many as it takes to distinguish unequal ones."""
    digits = _DIGITS
    while digits < _MOST_DIGITS and (
        len({f"{value:.{digits}f}" for value in values}) < len(set(values))
    ):
        digits += 1
    return [f"{value:.{digits}f}" for value in values]
