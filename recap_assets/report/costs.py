"""What the results cost, as the page shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from recap_assets.lineage.amounts import in_columns
from recap_assets.lineage.costs import added_up

MOST_SHOWN = 12
"""Sources and models that are shown, those that took the longest."""


@dataclass(frozen=True)
class CostRow:
    """What one source by one model took; `what` is the source, or the kind of asset without one."""

    what: str
    model: str
    amounts: Sequence[str]


@dataclass(frozen=True)
class Costs:
    """What was paid and reused.

    Attributes:
        columns: What the amounts of each row are; what nothing took has none.
        rows: The longest first, and all together in the end; none where nothing was built.
    """

    columns: Sequence[str] = ()
    rows: Sequence[CostRow] = field(default_factory=tuple[CostRow, ...])


def costs_of(ledger: pl.DataFrame) -> Costs:
    """What was paid and reused.

    Args:
        ledger: COSTS.
    """
    if ledger.is_empty():
        return Costs()
    kind = pl.col("asset").str.split("/").list.first()
    named = ledger.with_columns(
        what=pl.when(pl.col("source") != "")
        .then(pl.format("{} {}", kind, "source"))
        .otherwise(kind)
    )
    shown = added_up(named, ("what", "model")).head(MOST_SHOWN).to_dicts()
    rows = [*shown, {**added_up(named, ()).row(0, named=True), "what": "all", "model": ""}]
    columns, cells = in_columns(rows)
    each = zip(rows, cells, strict=True)
    return Costs(columns, [CostRow(row["what"], row["model"], amounts) for row, amounts in each])
