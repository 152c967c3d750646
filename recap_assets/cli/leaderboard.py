"""The leaderboard on the terminal."""

import polars as pl
from rich.console import Console
from rich.table import Table

from recap_assets.defs.session import Session
from recap_assets.specs.tables import LEADERBOARD

AVERAGE = "average"
CELL_WIDTH = 13
NAMES_WIDTH = 40


def print_leaderboard(console: Console, session: Session) -> None:
    """Print every mix side by side, in per cent, the best on average first.

    A narrow terminal gets the average and the report's two tasks; a wide one every task.
    """
    rows = session.setting.workspace.tables.read(LEADERBOARD)
    if rows.is_empty():
        return
    report = session.setting.experiment.report
    chosen = [task for task in (report.fine_task, report.retrieval_task) if task]
    others = [task for task in rows["task"].unique() if task not in (*chosen, AVERAGE)]
    n_cells = max((console.width - NAMES_WIDTH) // CELL_WIDTH - 1, 1)
    tasks = [AVERAGE, *[*chosen, *sorted(others)][:n_cells]]
    table = Table(title="Leaderboard: per cent, mean ± deviation over seeds", title_justify="left")
    table.add_column("mix", no_wrap=True)
    table.add_column("pairs", justify="right", no_wrap=True)
    for task in tasks:
        table.add_column(task, justify="right", no_wrap=True)
    for mix in _best_first(rows):
        of_mix = {row["task"]: row for row in rows.filter(mix=mix).iter_rows(named=True)}
        n_pairs = next(iter(of_mix.values()))["n_pairs"]
        table.add_row(mix, f"{n_pairs:,}", *(_cell(of_mix.get(task)) for task in tasks))
    console.print(table)


def _best_first(rows: pl.DataFrame) -> list[str]:
    ranked = rows.filter(pl.col("task") == AVERAGE).sort("mean", descending=True)["mix"].to_list()
    return ranked + sorted(set(rows["mix"]) - set(ranked))


def _cell(row: dict[str, float] | None) -> str:
    if row is None:
        return "-"
    mean = f"{100 * row['mean']:.1f}"
    return mean if row["deviation"] is None else f"{mean} ± {100 * row['deviation']:.1f}"
