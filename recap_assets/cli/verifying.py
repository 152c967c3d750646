"""`recap verify`: whether the tables and files still hold what the receipts say."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import lru_cache

from rich.console import Console
from rich.table import Table
from rich.text import Text

from recap_assets.assembly.graph import build_graph
from recap_assets.cli import terminal
from recap_assets.cli.output import echo
from recap_assets.cli.tracing import Target, copy_receipts
from recap_assets.defs.session import Session
from recap_assets.graph.node import Graph, Node
from recap_assets.graph.project import Project
from recap_assets.lineage.facets import Row
from recap_assets.lineage.pins import experiments_of, receipts_of
from recap_assets.lineage.verification import Verification, verify
from recap_assets.lineage.words import printable
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import ExperimentError

DIFFERENCES_SHOWN = 40


def run_verification(session: Session, words: str, *, as_json: bool) -> int:
    """Verify an asset and all that it came from; the exit code is 1 where something differs."""
    copy_receipts(session)
    target = Target.of(session, words)
    origin = target.origin(session)
    present = receipts_of(session.project.workspace, target.asset)

    def newest(asset: str) -> Mapping[str, Row]:
        return {row["partition"]: row for row in present.of(asset).iter_rows(named=True)}

    console = terminal.console()
    found = verify(origin, _nodes(session, target), newest, present=target.pinned is None)
    if as_json:
        echo(json.dumps(_as_json(words, found), indent=2))
    else:
        _print(console, words, found)
    return 1 if found.differences else 0


def _nodes(session: Session, target: Target) -> Callable[[str, str], Node | None]:
    """Nodes of this experiment; those that left it, of the experiment that built them."""
    workspace = session.project.workspace

    @lru_cache(maxsize=1)
    def known() -> Mapping[str, Experiment]:
        return experiments_of(workspace)

    @lru_cache(maxsize=8)
    def graph_of(experiment: str) -> Graph | None:
        try:
            if experiment in known():
                return build_graph(Project(known()[experiment], workspace))
            if target.pinned is not None:
                return build_graph(Project(target.pinned.experiment, workspace))
        except (ExperimentError, OSError, ValueError):
            return None  # an older form of the specs, or a file of it is gone
        return None

    def node_of(asset: str, experiment: str) -> Node | None:
        if asset in session.graph.nodes:
            return session.graph.nodes[asset]
        graph = graph_of(experiment)
        return graph.nodes.get(asset) if graph else None

    return node_of


def _as_json(words: str, found: Verification) -> dict[str, object]:
    return {
        "asset": words,
        "equal": not found.differences,
        "checked": found.n_checked,
        "unchecked": found.unchecked,
        "differences": [asdict(difference) for difference in found.differences],
    }


def _print(console: Console, words: str, found: Verification) -> None:
    for asset, why in found.unchecked.items():
        console.print(Text(f"not checked: {printable(asset)}: {why}", "dim"))
    if not found.differences:
        console.print(
            Text(f"{printable(words)}: {found.n_checked:,} partitions hashed, all equal.")
        )
        return
    table = Table(title=f"{len(found.differences):,} differences", title_justify="left")
    for name in ("asset", "partition", "recorded", "found", "what it means"):
        table.add_column(name, overflow="fold")
    for difference in found.differences[:DIFFERENCES_SHOWN]:
        table.add_row(
            Text(printable(difference.asset)),
            Text(printable(difference.partition)),
            difference.recorded[:12],
            (difference.found or "nothing")[:12],
            Text(printable(difference.meaning)),
        )
    console.print(table)
    if len(found.differences) > DIFFERENCES_SHOWN:
        console.print(f"and {len(found.differences) - DIFFERENCES_SHOWN:,} more: --json")
