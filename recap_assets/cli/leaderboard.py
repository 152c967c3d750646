"""The leaderboard on the terminal."""

import polars as pl
from rich.console import Console
from rich.table import Table

from recap_assets.defs.session import Session
from recap_assets.specs.tables import LEADERBOARD


def print_leaderboard(console: Console, session: Session) -> None:
    """Print every mix side by side, in per cent, the best on average first."""
    rows = session.setting.workspace.tables.read(LEADERBOARD)
    if rows.is_empty():
        return
    tasks = [task for task in rows["task"].unique(maintain_order=True) if task != "average"]
    table = Table(title="Leaderboard (per cent, mean ± deviation over seeds)")
    table.add_column("mix")
    table.add_column("pairs", justify="right")
    for task in [*tasks, "average"]:
        table.add_column(task, justify="right", overflow="fold")
    order = rows.filter(pl.col("task") == "average").sort("mean", descending=True)["mix"]
    for mix in [*order, *sorted(set(rows["mix"]) - set(order))]:
        of_mix = {row["task"]: row for row in rows.filter(mix=mix).iter_rows(named=True)}
        first = next(iter(of_mix.values()))
        cells = [_cell(of_mix.get(task)) for task in [*tasks, "average"]]
        table.add_row(mix, f"{first['n_pairs']:,}", *cells)
    console.print(table)


def _cell(row: dict[str, float] | None) -> str:
    if row is None:
        return "-"
    mean = f"{100 * row['mean']:.1f}"
    return mean if row["deviation"] is None else f"{mean} ± {100 * row['deviation']:.1f}"
