"""`recap status`: the state of each asset."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.assembly.accounts import text_notes
from recap_assets.captions.spending import spending
from recap_assets.cli.left_aside import print_left_aside
from recap_assets.cli.output import echo
from recap_assets.cli.terminal import console, print_table
from recap_assets.defs.session import Session
from recap_assets.graph.content import StoredFiles
from recap_assets.graph.node import Node
from recap_assets.graph.planner import plan
from recap_assets.graph.records import Record, RememberedRecords


def print_status(session: Session, *, as_json: bool) -> None:
    """Print the state of each asset."""
    stored = session.read_records()
    stored.look(session.graph.nodes)
    records = RememberedRecords(stored)
    current = plan(session.graph, records)
    stored.save()
    stale = Counter(entry.asset for entry in current.to_build)
    rows = []
    for node in session.graph.nodes.values():
        partitions = session.graph.partitions(node)
        rows.append(_row(node, partitions, records.latest(node.key), stale[node.key]))
    spent = {f"synthetic_captions/{one.source}": one for one in spending(session.project)}
    notes = text_notes(session.project)
    if as_json:
        added: dict[str, dict[str, object]] = {
            asset: asdict(one) for asset, one in spent.items() if one.captions
        }
        added[RAW_POOL.name] = {"texts": dict(notes)}
        echo(json.dumps([row | added.get(str(row["asset"]), {}) for row in rows], indent=2))
        return
    print_table(console(), _status_table(rows), lambda: _narrow(rows))
    if notes:
        words = ", ".join(f"{n:,} {note}" for note, n in notes.items())
        echo(f"{RAW_POOL.name}: texts of usable samples: {words}")
    print_left_aside(console(), session.project)
    for asset, one in spent.items():
        if one.captions:
            cost = "" if one.cost is None else f", {one.cost:,.2f} at the prices of the file"
            echo(
                f"{asset}: {one.prompt_tokens:,} tokens asked, {one.completion_tokens:,} "
                f"answered{cost}"
            )


def _row(
    node: Node, partitions: tuple[str, ...], found: Mapping[str, Record], stale: int
) -> dict[str, object]:
    built = [found[key] for key in partitions if key in found]
    rejected: Counter[str] = Counter()
    for record in built:
        rejected.update(dict(record.rejected))
    last = max((datetime.fromtimestamp(one.built_at, UTC) for one in built), default=None)
    return {
        "asset": node.key,
        "partitions": len(partitions),
        "built": len(built),
        "out_of_date": stale,
        "rows": None if _is_without_rows(node) else sum(record.n_rows for record in built),
        "rejected": dict(sorted(rejected.items())),
        "seconds": round(sum(record.seconds for record in built), 2),
        "last_built": last.isoformat(timespec="seconds") if last else None,
    }


def _is_without_rows(node: Node) -> bool:
    """Whether no number of rows says anything: of a model's files or a page's, not of a pool's."""
    return isinstance(node.content, StoredFiles) and node.stage in {"models", "training", "report"}


def _status_table(rows: list[dict[str, object]]) -> Table:
    table = Table()
    for name in ("asset", "built", "out of date", "rows", "set aside", "last built (UTC)"):
        is_number = name in ("built", "out of date", "rows")
        table.add_column(name, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(str(row["asset"]), *_counts(row), _aside(row), _time(row, "%Y-%m-%d %H:%M"))
    return table


def _narrow(rows: list[dict[str, object]]) -> Group:
    """The same below each other: an asset's name stands below what it is one of."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("asset", "built", "out of\ndate", "rows", "built (UTC)"):
        table.add_column(name, justify="left" if name == "asset" else "right", overflow="fold")
    families: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        families.setdefault(str(row["asset"]).rpartition("/")[0], []).append(row)
    for family, members in families.items():
        if family:
            table.add_row(f"{family}/")
        for row in members:
            name = str(row["asset"]).rpartition("/")[2]
            cells = (*_counts(row), _time(row, "%m-%d %H:%M"))
            table.add_row(f"  {name}" if family else name, *cells)
    aside = [Text(f"{row['asset']}: set aside {_aside(row)}") for row in rows if row["rejected"]]
    return Group(table, *aside)


def _counts(row: Mapping[str, object]) -> tuple[str, str, str]:
    built = f"{row['built']}/{row['partitions']}"
    rows = "" if row["rows"] is None else f"{row['rows']:,}"
    return built, str(row["out_of_date"] or ""), rows


def _aside(row: Mapping[str, object]) -> str:
    rejected = row["rejected"]
    assert isinstance(rejected, dict)  # noqa: S101 - for the type checker
    return ", ".join(f"{n:,} {reason}" for reason, n in rejected.items())


def _time(row: Mapping[str, object], form: str) -> str:
    last = row["last_built"]
    return datetime.fromisoformat(str(last)).strftime(form) if last else "never"
