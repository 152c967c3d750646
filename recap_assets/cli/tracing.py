"""`recap lineage` and `recap pin`: where an asset comes from, and a receipt of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import click
from rich.text import Text
from rich.tree import Tree

from recap_assets.cli import terminal
from recap_assets.cli.output import echo, print_json
from recap_assets.defs.lineage import copy_missing_events
from recap_assets.defs.observed import observed
from recap_assets.defs.session import Session
from recap_assets.graph.planner import plan
from recap_assets.graph.records import RememberedRecords, StoredRecords
from recap_assets.graph.selection import asset_named, near_assets
from recap_assets.lineage.observed import Observed
from recap_assets.lineage.open_lineage import ExtraMissingError, emit
from recap_assets.lineage.origin import Ancestor, Origin
from recap_assets.lineage.pins import (
    Pinned,
    PoolPartition,
    ReceiptError,
    pin,
    pool_partitions,
    read_receipt,
    receipts_of,
)
from recap_assets.lineage.rows import LineageError, Receipt, Receipts
from recap_assets.lineage.walk import lineage_of
from recap_assets.lineage.words import STATES_SHOWN, headline, printable, state_lines

SHARDS_SHOWN = 3
WIDEST = 100


@dataclass(frozen=True)
class Target:
    """What a command is asked about: an asset, or the version of it in a receipt."""

    asset: str
    pinned: Pinned | None
    receipts: Receipts

    @classmethod
    def of(cls, session: Session, words: str) -> "Target":
        """`ASSET`, or `ASSET@NAME` for the version that a receipt keeps.

        Raises:
            click.ClickException: There is no such receipt, or it is another asset's.
        """
        asset, _, name = words.partition("@")
        asset, workspace = asset_named(session.graph, asset), session.project.workspace
        if not name:
            return cls(asset, None, receipts_of(workspace, asset))
        try:
            pinned = read_receipt(name, workspace)
        except ReceiptError as error:
            raise click.ClickException(str(error)) from error
        if asset not in pinned.origin.ancestors:
            msg = f"the receipt {name} is of {pinned.asset}, and {asset} is not in its tree"
            raise click.ClickException(msg)
        return cls(asset, pinned, pinned.receipts)

    def origin(
        self, session: Session, partition: str | None = None, at: int | datetime | None = None
    ) -> Origin:
        """The tree of what was asked about.

        Raises:
            click.ClickException: There is no receipt of it.
        """
        node = session.graph.nodes.get(self.asset)
        present = self.pinned is None and at is None and node is not None
        members = session.graph.partitions(node) if present and node else None
        try:
            return lineage_of(self.receipts, self.asset, partition, at, members)
        except LineageError as error:
            near = "" if node is not None else near_assets(session.graph, self.asset)
            raise click.ClickException(f"{error}{near}") from error


def moment(text: str | None) -> int | datetime | None:
    """An event's number or a time, as `--at` takes them; a time without a zone is UTC.

    Raises:
        click.ClickException: It is neither.
    """
    if text is None:
        return None
    if text.isdigit():
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"--at {text}: write the number of an event, or a time such as 2026-01-31T12:00"
        raise click.ClickException(msg) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def print_lineage(
    session: Session,
    words: str,
    *,
    partition: str | None = None,
    at: str | None = None,
    as_json: bool = False,
    openlineage: bool = False,
) -> None:
    """Print where an asset comes from, as a tree, as JSON or to OpenLineage."""
    copy_receipts(session)
    target = Target.of(session, words)
    origin = target.origin(session, partition, moment(at))
    shards = pool_partitions(session.project, session.graph, origin)
    if openlineage:
        try:
            workspace = session.project.workspace
            n_events = emit(origin, session.graph, workspace, _observed(session, origin))
        except ExtraMissingError as error:
            raise click.ClickException(str(error)) from error
        echo(f"Sent {n_events} OpenLineage events.", err=True)
    elif as_json:
        echo(json.dumps({**origin.as_json(), "pool": [_pool_json(p) for p in shards]}))
    else:
        console = terminal.console()
        console.print(tree_of(origin, shards), width=min(console.width, WIDEST))


def _observed(session: Session, origin: Origin) -> Observed:
    """Failed builds and checks; records of a folder that is read-only are not opened."""
    if session.project.is_read_only:
        return Observed()
    return observed(session.open_instance(), session.graph, origin.ancestors)


def _pool_json(partition: PoolPartition) -> dict[str, object]:
    return {
        "partition": partition.partition,
        "shards": [vars(shard) for shard in partition.shards],
        "recorded": partition.recorded,
        "now": partition.now,
        "changed": partition.changed,
    }


def tree_of(origin: Origin, shards: Sequence[PoolPartition]) -> Tree:
    """The tree for the terminal: each asset is shown once, and referred to after that."""
    shown: set[str] = set()
    above = origin.root.states[0].newest

    def branch(ancestor: Ancestor) -> Tree:
        title = Text(printable(ancestor.asset), "bold")
        if ancestor.asset in shown:
            return Tree(title.append("  see above", "not bold dim"))
        is_root = not shown
        shown.add(ancestor.asset)
        tree = Tree(title.append(f"  {headline(ancestor)}", "not bold"))
        _add_states(tree, ancestor, None if is_root else above)
        for dependency in ancestor.reads:
            if dependency in origin.ancestors:
                tree.add(branch(origin.ancestors[dependency]))
        if not ancestor.reads and shards:
            _add_shards(tree, [s for s in shards if _belongs(s, ancestor)])
        return tree

    return branch(origin.root)


def _belongs(shard: PoolPartition, ancestor: Ancestor) -> bool:
    recorded = {version for s in ancestor.states for version in s.inputs.get("outside", ())}
    return shard.recorded in recorded


def _add_states(tree: Tree, ancestor: Ancestor, above: Receipt | None) -> None:
    for i, state in enumerate(ancestor.states[:STATES_SHOWN]):
        known = ancestor.states[0].newest if i else above
        lines = [
            Text.assemble((f"{k} ", "dim"), printable(v)) for k, v in state_lines(state, known)
        ]
        tree.add(Text("\n").join(lines))
    if len(hidden := ancestor.states[STATES_SHOWN:]) > 0:
        n = sum(len(state.partitions) for state in hidden)
        tree.add(Text(f"{len(hidden)} more states of {n:,} partitions: --json", "dim"))
    for name in sorted(ancestor.uncertain):
        text = f"of {printable(name)} more partitions are listed than were read: some have left"
        tree.add(Text(text, "yellow"))


def _add_shards(tree: Tree, partitions: Sequence[PoolPartition]) -> None:
    shards = [shard for partition in partitions for shard in partition.shards]
    if shards:
        size = sum(shard.size for shard in shards)
        where = f"{size:,} bytes by the manifest now" if size else "written by the program"
        branch = tree.add(Text(f"{len(shards):,} shards, {where}"))
        for shard in shards[:SHARDS_SHOWN]:
            text = f"{shard.name}, {shard.size:,} bytes, version {shard.version}: {shard.url}"
            branch.add(Text(printable(text if size else shard.url)))
        if len(shards) > SHARDS_SHOWN:
            branch.add(Text(f"and {len(shards) - SHARDS_SHOWN:,} more: --json", "dim"))
    changed = [partition for partition in partitions if partition.changed]
    for partition in changed[:SHARDS_SHOWN]:
        now = f"now {partition.now[:12]}" if partition.now else "now gone from the pool"
        text = (
            f"shards of {partition.partition} changed since: read {partition.recorded[:12]}, {now}"
        )
        tree.add(Text(printable(text), "yellow"))
    if len(changed) > SHARDS_SHOWN:
        tree.add(Text(f"and {len(changed) - SHARDS_SHOWN:,} partitions more", "yellow"))


def pin_asset(session: Session, asset: str, name: str, *, as_json: bool = False) -> None:
    """Write a receipt of an asset's present state.

    Raises:
        click.ClickException: The asset is out of date or was never built, or the name is taken.
    """
    asset = asset_named(session.graph, asset)
    _refuse_out_of_date(session, asset)
    origin = Target.of(session, asset).origin(session)
    try:
        path = pin(session.project, origin, name)
    except ReceiptError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        version = origin.root.version
        print_json({"asset": asset, "name": name, "version": version, "receipt": str(path)})
        return
    echo(f"Pinned {asset} as {name}: version {origin.root.version}, {path}")
    echo(f"`recap reproduce {asset}@{name}` builds it again, `recap verify` checks it.")


def _refuse_out_of_date(session: Session, asset: str) -> None:
    if asset not in session.graph.nodes:
        msg = f"there is no asset {asset}{near_assets(session.graph, asset)}"
        raise click.ClickException(msg)
    current = plan(session.graph, RememberedRecords(copy_receipts(session)))
    stale = [entry for entry in current.to_build if entry.asset == asset]
    if stale:
        first = f"{stale[0].name}: {stale[0].reason}"
        msg = (
            f"{asset} is out of date in {len(stale):,} partitions, so there is no present state to "
            f"pin ({first}). Run `recap build --select {asset}` first"
        )
        raise click.ClickException(msg)


def copy_receipts(session: Session) -> StoredRecords:
    """Copy what a killed step left uncopied into the table `lineage`; the records read for it.

    Nothing is copied where the data folder is read-only.
    """
    if session.project.is_read_only:
        return session.read_records()
    instance = session.open_instance()
    records = session.records(instance)
    copy_missing_events(session.project, instance, records, session.graph.nodes)
    return records
