"""What the results cost, as the page shows it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from recap_assets.lineage.costs import added_up

MOST_SHOWN = 12
"""Sources and models that are shown, those that took the longest."""


@dataclass(frozen=True)
class Amounts:
    """What something took.

    Attributes:
        hours: Of all workers together.
        gpu_hours: Those in which a GPU was held.
        tokens: Asked and answered.
        money: At the prices of the file; None without any.
    """

    hours: float
    gpu_hours: float
    tokens: int
    money: float | None


@dataclass(frozen=True)
class CostRow:
    """What one source by one model took; `what` is the source, or the kind of asset without one."""

    what: str
    model: str
    paid: Amounts
    reused: Amounts


def cost_rows(costs: pl.DataFrame) -> list[CostRow]:
    """What was paid and reused, the longest first, and all together; none where nothing was.

    Args:
        costs: COSTS.
    """
    if costs.is_empty():
        return []
    kind = pl.col("asset").str.split("/").list.first()
    named = costs.with_columns(
        what=pl.when(pl.col("source") != "")
        .then(pl.format("{} {}", kind, "source"))
        .otherwise(kind)
    )
    rows = added_up(named, ("what", "model")).head(MOST_SHOWN)
    return [
        *_rows(rows),
        *_rows(added_up(named, ()).with_columns(what=pl.lit("all"), model=pl.lit(""))),
    ]


def _rows(rows: pl.DataFrame) -> Iterator[CostRow]:
    for row in rows.iter_rows(named=True):
        yield CostRow(row["what"], row["model"], _amounts(row, ""), _amounts(row, "_reused"))


def _amounts(row: Mapping[str, Any], ending: str) -> Amounts:
    return Amounts(
        row[f"seconds{ending}"] / 3_600,
        row[f"gpu_seconds{ending}"] / 3_600,
        row[f"prompt_tokens{ending}"] + row[f"completion_tokens{ending}"],
        row[f"money{ending}"],
    )
