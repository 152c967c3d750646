"""`recap plan`: what is out of date, why, and what building it will cost."""

import json
from collections.abc import Iterable, Sequence

import click
from rich.table import Table
from rich.text import Text

from recap_assets.assembly.server_tokens import TokenEstimates, Tokens
from recap_assets.cli.left_aside import print_left_aside
from recap_assets.cli.output import echo
from recap_assets.cli.terminal import console, in_partitions, plain
from recap_assets.defs.session import Session
from recap_assets.evaluation.assets import STAGE as EVALUATION
from recap_assets.evaluation.tasks import refuse_missing_sets
from recap_assets.graph.counting import count_rows
from recap_assets.graph.estimates import Cost, Estimates
from recap_assets.graph.node import Graph
from recap_assets.graph.planner import NEVER_BUILT, OutOfDate, Plan, plan, why
from recap_assets.graph.records import Records, RememberedRecords
from recap_assets.graph.selection import asset_named, near_assets, select_assets
from recap_assets.graph.taking_over import TakingOver, taking_over
from recap_assets.lineage.amounts import in_bytes, in_time
from recap_assets.mixes.left_out import Part, Planned
from recap_assets.specs.loading import DEMO
from recap_assets.untrusted.showing import one_line

ROWS_SHOWN = 60
GUESSED = "~ a guess: nothing like it was built here yet"


def print_plan(
    session: Session,
    *,
    as_json: bool,
    why_of: str | None,
    select: Sequence[str],
    reuses: bool = True,
) -> Plan:
    """Print what is out of date, and give it."""
    stored = session.read_records()
    graph = session.graph
    stored.look(graph.nodes)
    records = RememberedRecords(stored)
    current = plan(graph, records)
    stored.save()
    part = part_of(session, current)
    if select:
        current = current.only(graph.ancestors(select_assets(graph, select)))
    refuse_unbuildable(session, current)
    estimates = expected(session, records, current, part, reuses=reuses)
    if why_of is not None:
        echo("\n".join(_why(graph, current, why_of, estimates.taking_over)))
    elif as_json:
        tokens = TokenEstimates(session.project, estimates)
        rows = [_row(entry, estimates, tokens) for entry in current.entries]
        echo(json.dumps(rows, indent=2))
    elif current:
        console().print(plan_table(current, session, estimates))
        print_tokens(current, session, estimates)
    else:
        echo(f"{named(session)}: everything is up to date.")
    if why_of is None and not as_json:
        print_parts(part.parts)
        print_left_aside(console(), session.project)
    return current


def part_of(session: Session, current: Plan) -> Planned:
    """The part of the pool that each source with `only` captions, where a plan is built."""
    return Planned(session.project, session.graph, {entry.asset for entry in current.entries})


def expected(
    session: Session, records: Records, current: Plan, part: Planned, *, reuses: bool = True
) -> Estimates:
    """What a plan costs, by what it takes over, and the rows that it computes as far as is known.

    Args:
        session: The experiment.
        records: What was built.
        current: The plan.
        part: What sources with `only` leave out.
        reuses: Whether what was computed before is taken over.
    """
    if not reuses:
        return Estimates(session.graph, records, part.counts)
    plan_ = (session.graph, records, current.entries)
    taken = taking_over(*plan_)
    counts = {**count_rows(*plan_, taken.known), **part.counts}
    return Estimates(session.graph, records, counts, taken)


def refuse_unbuildable(session: Session, current: Plan) -> None:
    """Refuse a plan that comes to evaluation sets which are not there, before anything is built.

    Raises:
        RecapError: Naming the task and its line.
    """
    stages = {session.graph.nodes[entry.asset].stage for entry in current.to_build}
    if EVALUATION in stages:
        refuse_missing_sets(session.project)


def print_parts(parts: Iterable[Part], *, err: bool = False) -> None:
    """Print which part of the pool each source with `only` captions."""
    for part in parts:
        console(stderr=err).print(plain(part.words), soft_wrap=True)


def _why(graph: Graph, current: Plan, name: str, taken: TakingOver) -> list[str]:
    asset, _, rest = name.partition("[")
    asset, partition = asset_named(graph, asset), rest.removesuffix("]")
    if asset not in graph.nodes:
        msg = f"--why {name}: there is no asset {asset}{near_assets(graph, asset)}"
        raise click.ClickException(msg)
    partitions = graph.partitions(graph.nodes[asset])
    if not partition and partitions != ("",):
        stale = [entry.partition for entry in current.entries if entry.asset == asset]
        if not stale:
            return [f"{asset}: all {len(partitions):,} partitions are up to date"]
        partition = stale[0]
    elif partition not in partitions:
        msg = f"--why {name}: {asset} has no such partition; it has {_listed(partitions)}"
        raise click.ClickException(msg)
    lines = why(graph, current, asset, partition)
    known = taken.known.get((asset, partition))
    return lines if known is None else [*lines, f"it is taken over from {known.whose}"]


def _listed(partitions: Sequence[str]) -> str:
    if partitions == ("",):
        return "none at all"
    shown = ", ".join(partitions[:8])
    return shown if len(partitions) <= 8 else f"{shown}, ... {partitions[-1]}"


def _row(entry: OutOfDate, estimates: Estimates, tokens: TokenEstimates) -> dict[str, object]:
    leaves = entry.state == "leaving"
    cost = Cost() if leaves else estimates.of(entry.asset, entry.partition)
    asked = Tokens(0, 0, 0.0) if leaves else tokens.of(entry.asset, entry.partition)
    key = (entry.asset, entry.partition)
    counts, taken = estimates.counts.get(key), estimates.taking_over.known.get(key)
    return {
        **entry._asdict(),
        "may_stay": entry.may_stay,
        "rows_to_compute": None if counts is None else counts.computed,
        "rows_to_reuse": None if counts is None else counts.reused,
        "taken_over_from": None if taken is None else taken.whose,
        "may_be_taken_over_from": estimates.taking_over.possible.get(key),
        "expected_seconds": round(cost.seconds, 3),
        "expected_gpu_seconds": round(cost.gpu_seconds, 3),
        "expected_bytes": cost.n_bytes,
        "is_guess": cost.is_guess,
        "expected_prompt_tokens": None if asked is None else asked.prompt,
        "expected_completion_tokens": None if asked is None else asked.completion,
        "expected_cost": None if asked is None else asked.cost,
    }


def print_tokens(
    current: Plan, session: Session, estimates: Estimates, *, err: bool = False
) -> None:
    """Print what the servers that are asked are expected to take, a line an asset."""
    tokens = TokenEstimates(session.project, estimates)
    asked: dict[str, list[tuple[str, str]]] = {}
    for entry in current.to_build:
        if tokens.asks(entry.asset):
            asked.setdefault(entry.asset, []).append((entry.asset, entry.partition))
    for asset, partitions in asked.items():
        echo(f"{asset}: {_of_tokens(tokens.of_all(partitions))}", err=err)


def _of_tokens(tokens: Tokens | None) -> str:
    if tokens is None:
        return "tokens unknown: nothing like it was asked before"
    cost = "" if tokens.cost is None else f", {tokens.cost:,.2f} at the prices of the file"
    return f"about {tokens.prompt:,} tokens to ask, {tokens.completion:,} in reply{cost}"


WAITS = f"{NEVER_BUILT}; waits for what it reads"
CHANGES = "reads what will change"


def plan_table(current: Plan, session: Session, estimates: Estimates) -> Table:
    """The plan as a table: what can be built now, what waits for it, what is to be removed."""
    whole = estimates.of_all((e.asset, e.partition) for e in current.to_build)
    removed = f"; {n:,} to remove" if (n := len(gone(current))) else ""
    table = Table(
        title=f"{named(session)}: {in_partitions(len(current.to_build))} out of date, "
        f"{_in_words(whole)}{_of_may_stay(current, estimates)}{removed}",
        title_justify="left",
        caption=GUESSED if whole.is_guess else None,
        caption_justify="left",
    )
    table.add_column("asset", overflow="fold")
    for name in ("partitions", "time", "written"):
        table.add_column(name, justify="right")
    table.add_column("why", overflow="fold")
    _add_ready(table, current, estimates)
    _add_waiting(table, current, session.graph, estimates)
    _add_removals(table, current)
    return table


def _of_may_stay(current: Plan, estimates: Estimates) -> str:
    """How much of the plan is built only where what it reads comes out otherwise."""
    waiting = [(one.asset, one.partition) for one in current.to_build if one.may_stay]
    if not waiting:
        return ""
    cost = estimates.of_all(waiting)
    return (
        f"; {len(waiting):,} of them, {in_time(cost.seconds)}, only if what they read comes out "
        "otherwise"
    )


def gone(current: Plan) -> set[tuple[str, str]]:
    """Asset and partition of all that left the experiment, once each."""
    return {(one.asset, partition) for one in current.removals for partition in one.partitions}


def named(session: Session) -> str:
    """The experiment with its file and its data folder, as every plan begins."""
    name, root = session.project.experiment.name, one_line(str(session.project.workspace.root))
    is_demo = session.path == DEMO
    file = "the shipped demo; -e names another file" if is_demo else one_line(str(session.path))
    return f"{name} ({file}; data in {root})"


def _in_words(cost: Cost) -> str:
    guess = "about " if cost.is_guess else ""
    gpu = f", {in_time(cost.gpu_seconds)} of it on a GPU" if cost.gpu_seconds else ""
    written = f", {in_bytes(cost.n_bytes)} to write" if cost.n_bytes else ""
    return f"{guess}{in_time(cost.seconds)} of work{gpu}{written}"


def _add_ready(table: Table, current: Plan, estimates: Estimates) -> None:
    groups: dict[tuple[str, str], list[OutOfDate]] = {}
    for entry in current.ready:
        groups.setdefault((entry.asset, entry.reason), []).append(entry)
    for (asset, reason), entries in list(groups.items())[:ROWS_SHOWN]:
        _add(table, asset, entries, estimates, reason)
    if len(groups) > ROWS_SHOWN:
        table.add_row(f"... {len(groups) - ROWS_SHOWN} more", "", "", "", "")
    table.add_section()


def _add_waiting(table: Table, current: Plan, graph: Graph, estimates: Estimates) -> None:
    waiting: dict[str, list[OutOfDate]] = {}
    for entry in current.entries:
        if entry.state == "blocked":
            waiting.setdefault(graph.nodes[entry.asset].stage, []).append(entry)
    for stage, entries in waiting.items():
        assets = list(dict.fromkeys(entry.asset for entry in entries))
        named = assets[0] if len(assets) == 1 else f"{stage}: {len(assets)} assets"
        never = all(entry.reason.startswith(NEVER_BUILT) for entry in entries)
        _add(table, named, entries, estimates, WAITS if never else CHANGES)
    table.add_section()


def _add(
    table: Table, name: str, entries: Sequence[OutOfDate], estimates: Estimates, reason: str
) -> None:
    cost = estimates.of_all((entry.asset, entry.partition) for entry in entries)
    guess = "~" if cost.is_guess else ""
    size = in_bytes(cost.n_bytes) if cost.n_bytes else ""
    time = f"{guess}{in_time(cost.seconds)}"
    words = Text(reason + _of_rows(entries, estimates) + of_taken(entries, estimates.taking_over))
    table.add_row(plain(name), f"{len(entries):,}", time, size, words)


def _of_rows(entries: Sequence[OutOfDate], estimates: Estimates) -> str:
    """How many rows are computed, where that is known of all partitions and some are reused."""
    keys = [(entry.asset, entry.partition) for entry in entries]
    if all(key in estimates.taking_over.known for key in keys):
        return ""
    counts = [estimates.counts.get(key) for key in keys]
    known = [one for one in counts if one is not None]
    computed, reused = sum(one.computed for one in known), sum(one.reused for one in known)
    if not reused or len(known) < len(counts):
        return ""
    return f"; {computed:,} of {computed + reused:,} rows, the rest is reused"


def of_taken(entries: Sequence[OutOfDate], taken: TakingOver) -> str:
    """What is taken over of some partitions, and what may be: empty where nothing is."""
    keys = [(entry.asset, entry.partition) for entry in entries]
    known = [taken.known[key].whose for key in keys if key in taken.known]
    maybe = [taken.possible[key] for key in keys if key in taken.possible]
    words = ""
    if known:
        words += f"; {_share(known, keys)}taken over from {_first_of(known)}"
    if maybe:
        words += f"; {_share(maybe, keys)}taken over if it reads what {_first_of(maybe)} read"
    return words


def _share(some: Sequence[object], of: Sequence[object]) -> str:
    return "" if len(some) == len(of) else f"{len(some):,} of {len(of):,} "


def _first_of(names: Sequence[str]) -> str:
    first, *others = dict.fromkeys(names)
    return f"{first} and {len(others):,} more" if others else first


def _add_removals(table: Table, current: Plan) -> None:
    """A row for each asset, however many tables and folders hold parts of it."""
    parts: dict[str, tuple[set[str], list[str]]] = {}
    for one in current.removals:
        partitions, reasons = parts.setdefault(one.asset, (set(), []))
        partitions.update(one.partitions)
        reasons.append(one.reason)
    for asset, (partitions, reasons) in parts.items():
        why = "; ".join(dict.fromkeys(reasons))
        what = Text.assemble(("remove", "red"), f" {asset}")
        table.add_row(what, f"{len(partitions):,}", "", "", Text(why))
