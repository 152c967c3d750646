"""`recap costs`: what building took, and what was reused instead of being paid for again."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from recap_assets.captions.charges import charges_of
from recap_assets.cli.output import echo, print_json
from recap_assets.cli.terminal import console, plain
from recap_assets.cli.tracing import copy_receipts
from recap_assets.defs.session import Session
from recap_assets.lineage.amounts import in_columns
from recap_assets.lineage.costs import added_up, ledger

BY = {"asset": "asset", "source": "source", "model": "model", "run": "run_id", "day": "day"}
"""What the ledger may be added up by, with the column of COSTS."""

WITHOUT_PRICES = (
    "No money: the file has no price. `prices: {gpu_hour: 2.5}` charges hours; a source behind a "
    "server has price_per_million_prompt_tokens and price_per_million_completion_tokens."
)


def print_costs(session: Session, by: Sequence[str], *, as_json: bool) -> None:
    """Print the ledger, added up."""
    copy_receipts(session)
    costs = ledger(session.project.workspace.tables, charges_of(session.project))
    columns = tuple(dict.fromkeys(BY[one] for one in by or ("asset",)))
    rows = added_up(costs, columns).to_dicts()
    total = added_up(costs, ()).row(0, named=True)
    if as_json:
        named = [row | ({"day": str(row["day"])} if "day" in row else {}) for row in rows]
        print_json({"rows": named, "total": total})
        return
    if costs.is_empty():
        echo("Nothing was built yet, so nothing was paid.")
        return
    console().print(_table(columns, [*rows, {**dict.fromkeys(columns, ""), **total}]))
    if total["money"] is None:
        echo(WITHOUT_PRICES)


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Table:
    """The sums, the last of all together; amounts that nothing took have no column."""
    table = Table(title="Paid once; reused: what was paid before", title_justify="left")
    heads, cells = in_columns(rows)
    for name in columns:
        table.add_column(name.removesuffix("_id"), overflow="fold")
    for head in heads:
        table.add_column(head.replace(": ", ":\n"), justify="right")
    for row, amounts in zip(rows, cells, strict=True):
        named = [plain(str(row[name] or "-")) for name in columns]
        if row is rows[-1]:
            table.add_section()
            named = [plain("in all"), *(plain("") for _ in named[1:])]
        table.add_row(*named, *amounts)
    return table
