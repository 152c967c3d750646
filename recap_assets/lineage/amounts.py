"""Amounts as people read them."""

from collections.abc import Mapping, Sequence
from typing import Any

_PAID = ("time", "on a GPU", "tokens", "money")
_HEADS = (*_PAID, *(f"reused: {name}" for name in _PAID))


def in_time(seconds: float) -> str:
    """Seconds as `0.4 s`, `42 s`, `3 min 5 s` or `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def in_bytes(n: float) -> str:
    """Bytes as `512 B`, `1.5 MB` or `12 GB`, with powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1_000:
            return f"{n:.0f} {unit}" if unit == "B" or n >= 10 else f"{n:.1f} {unit}"
        n /= 1_000
    return f"{n:,.1f} TB"


def in_columns(sums: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Sums of the cost ledger in columns; what nothing took has none, but for the time.

    Args:
        sums: As `lineage.costs.added_up` gives them.

    Returns:
        The columns' heads, and a cell of each for every row.
    """
    cells = [[*_amounts(row, ""), *_amounts(row, "_reused")] for row in sums]
    shown = [i for i in range(len(_HEADS)) if i == 0 or any(row[i] for row in cells)]
    return [_HEADS[i] for i in shown], [[row[i] for i in shown] for row in cells]


def _amounts(row: Mapping[str, Any], ending: str) -> tuple[str, str, str, str]:
    tokens = row[f"prompt_tokens{ending}"] + row[f"completion_tokens{ending}"]
    seconds, on_gpu = row[f"seconds{ending}"], row[f"gpu_seconds{ending}"]
    money = row[f"money{ending}"]
    return (
        in_time(seconds) if seconds else "",
        in_time(on_gpu) if on_gpu else "",
        f"{tokens:,}" if tokens else "",
        f"{money:,.2f}" if money else "",
    )
