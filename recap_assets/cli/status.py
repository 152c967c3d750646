"""`recap plan` and `recap status`."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from recap_assets.defs.events import DagsterRecords, Remembered
from recap_assets.defs.session import Session
from recap_assets.orchestration.graph import Graph
from recap_assets.orchestration.planner import OutOfDate, Plan, plan

ROWS_SHOWN = 60


def print_plan(session: Session, *, as_json: bool) -> None:
    """Print what is out of date."""
    current = plan(session.graph, DagsterRecords(session.open_instance()))
    if as_json:
        nodes = session.graph.nodes
        rows = [
            {**asdict(entry), "expected_seconds": nodes[entry.asset].seconds}
            for entry in current.entries
        ]
        click.echo(json.dumps(rows, indent=2))
    elif current:
        Console().print(plan_table(current, session.graph))
    else:
        click.echo(f"{session.setting.experiment.name}: everything is up to date.")


def plan_table(current: Plan, graph: Graph) -> Table:
    """The plan as a table: what can be built now with its reason, then what waits, by stage."""
    table = Table(title=f"Out of date: {len(current.entries)} partitions", title_justify="left")
    table.add_column("asset", overflow="fold")
    table.add_column("partitions", justify="right")
    table.add_column("why", overflow="fold")
    now = Counter((entry.asset, entry.reason) for entry in current.ready)
    for (asset, reason), n in list(now.items())[:ROWS_SHOWN]:
        table.add_row(asset, str(n), reason)
    if len(now) > ROWS_SHOWN:
        table.add_row(f"... {len(now) - ROWS_SHOWN} more", "", "")
    table.add_section()
    waiting: dict[str, list[OutOfDate]] = {}
    for entry in current.entries:
        if entry.state == "blocked":
            waiting.setdefault(graph.nodes[entry.asset].stage, []).append(entry)
    for stage, entries in waiting.items():
        assets = list(dict.fromkeys(entry.asset for entry in entries))
        named = assets[0] if len(assets) == 1 else f"{stage}: {len(assets)} assets"
        table.add_row(named, str(len(entries)), "reads what will change")
    return table


def print_status(session: Session, *, as_json: bool) -> None:
    """Print what there is of each asset."""
    records = DagsterRecords(session.open_instance())
    current = plan(session.graph, records)
    stale = Counter(entry.asset for entry in current.entries)
    rows = []
    for node in session.graph.nodes.values():
        partitions = session.graph.partitions(node)
        found = records.remembered(node.key)
        rows.append(_row(node.key, partitions, found, stale[node.key]))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        Console().print(_status_table(rows))


def _row(
    asset: str, partitions: tuple[str, ...], found: Mapping[str, Remembered], stale: int
) -> dict[str, object]:
    built = [found[key] for key in partitions if key in found]
    rejected: Counter[str] = Counter()
    for remembered in built:
        rejected.update(remembered.rejected)
    last = max((remembered.built_at for remembered in built), default=None)
    return {
        "asset": asset,
        "partitions": len(partitions),
        "built": len(built),
        "out_of_date": stale,
        "rows": sum(remembered.record.n_rows for remembered in built),
        "rejected": dict(sorted(rejected.items())),
        "seconds": round(sum(remembered.seconds for remembered in built), 2),
        "last_built": last.isoformat(timespec="seconds") if last else None,
    }


def _status_table(rows: list[dict[str, object]]) -> Table:
    table = Table()
    for name in ("asset", "built", "out of date", "rows", "set aside", "last built"):
        is_number = name in ("built", "out of date", "rows")
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        rejected = row["rejected"]
        assert isinstance(rejected, dict)  # noqa: S101 - told to the type checker
        table.add_row(
            str(row["asset"]),
            f"{row['built']}/{row['partitions']}",
            str(row["out_of_date"] or ""),
            f"{row['rows']:,}",
            ", ".join(f"{n} {reason}" for reason, n in rejected.items()),
            str(row["last_built"] or "never"),
        )
    return table
