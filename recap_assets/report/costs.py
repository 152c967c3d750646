"""What the results cost, as the page shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from recap_assets.lineage.amounts import in_columns
from recap_assets.lineage.costs import added_up

MOST_SHOWN = 12
"""Sources and models that are shown, those that took the longest."""


@dataclass(frozen=True)
class CostRow:
    """What one stage, or one source by one model, took; without a source a kind of asset did."""

    what: str
    model: str
    amounts: Sequence[str]


@dataclass(frozen=True)
class CostTable:
    """What was paid and reused.

    Attributes:
        columns: What the amounts of each row are; what nothing took has none.
        rows: All together in the end; none where nothing was built.
    """

    columns: Sequence[str] = ()
    rows: Sequence[CostRow] = field(default_factory=tuple[CostRow, ...])


@dataclass(frozen=True)
class Costs:
    """What was paid and reused, by stage in the pipeline's order, and by what took the longest."""

    by_stage: CostTable = CostTable()
    by_model: CostTable = CostTable()


def costs_of(ledger: pl.DataFrame, stages: Mapping[str, str]) -> Costs:
    """What was paid and reused.

    Args:
        ledger: COSTS.
        stages: The stage of each asset, by the first part of its key, in the pipeline's order.
    """
    if ledger.is_empty():
        return Costs()
    kind = pl.col("asset").str.split("/").list.first()
    named = ledger.with_columns(
        stage=kind.replace_strict(stages, default="others", return_dtype=pl.String),
        what=pl.when(pl.col("source") != "")
        .then(pl.format("{} {}", kind, "source"))
        .otherwise(kind),
    )
    by_model = added_up(named, ("what", "model")).head(MOST_SHOWN)
    order = pl.Enum(list(dict.fromkeys([*stages.values(), "others"])))
    by_stage = added_up(named, ("stage",)).rename({"stage": "what"}).with_columns(model=pl.lit(""))
    whole = {**added_up(named, ()).row(0, named=True), "what": "all", "model": ""}
    return Costs(
        _table([*by_stage.sort(pl.col("what").cast(order)).to_dicts(), whole]),
        _table([*by_model.to_dicts(), whole]),
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> CostTable:
    columns, cells = in_columns(rows)
    each = zip(rows, cells, strict=True)
    return CostTable(
        columns, [CostRow(row["what"], row["model"], amounts) for row, amounts in each]
    )
