"""`recap build`: the plan, progress with an ETA, and what came of it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.assembly.accounts import accounts, near_names
from recap_assets.cli import terminal
from recap_assets.cli.amounts import in_time
from recap_assets.cli.belonging import take
from recap_assets.cli.leaderboard import print_leaderboard
from recap_assets.cli.left_aside import nothing_usable, print_left_aside
from recap_assets.cli.planning import gone, plan_table
from recap_assets.defs.building import Build, Finished, State
from recap_assets.defs.session import Session
from recap_assets.graph.planner import Plan
from recap_assets.graph.selection import select_assets
from recap_assets.pool.assets import pool_of

QUIET_SECONDS = 10.0


@dataclass(frozen=True)
class Asked:
    """What the user said beforehand.

    Attributes:
        yes: Build, and remove what left the experiment, without asking.
        dry_run: Show the plan, and stop.
        take_over: Take results that another file of the same name built.
    """

    yes: bool = False
    dry_run: bool = False
    take_over: bool = False


def run_build(session: Session, jobs: int, asked: Asked, select: Sequence[str] = ()) -> int:
    """Build what is out of date; the exit code is 1 where something failed or nothing was agreed.

    Raises:
        TakenError: The results are another file's.
    """
    console = terminal.console()
    chosen = select_assets(session.graph, select) if select else None
    build = Build(session, jobs, chosen)
    first = build.plan()
    if not first:
        console.print(f"{session.setting.experiment.name}: everything is up to date.")
        print_left_aside(console, session.setting)
        _print_places(console, session)
        return _print_unusable(console, session)
    console.print(plan_table(first, session, build.estimates))
    print_left_aside(console, session.setting)
    if asked.dry_run:
        return 0
    take(session, anyway=asked.take_over)
    if not (asked.yes or _agreed(console, first)):
        return 1
    if first.removals:
        _remove(console, build, first)
    if first.to_build:
        return _run(console, session, build)
    return 0


def _agreed(console: Console, first: Plan) -> bool:
    """The answer to the question, of a person or of a pipe; no answer is no."""
    n_gone = len(gone(first))
    removes = f", and remove {n_gone:,} that left the experiment" if n_gone else ""
    question = f"Build {len(first.to_build):,} partitions{removes}? [y/N] "
    try:
        answer = console.input(question, markup=False)
    except EOFError:
        console.print("no answer\nNothing was done: `--yes` continues without asking.")
        return False
    if answer.strip().lower() not in {"y", "yes"}:
        console.print("Nothing was done.")
        return False
    return True


def _remove(console: Console, build: Build, first: Plan) -> None:
    build.remove(first.removals)
    n = len(gone(first))
    console.print(f"Removed {n:,} partitions that left the experiment; their lineage is kept.")


def _run(console: Console, session: Session, build: Build) -> int:
    started = time.monotonic()
    failed = show_progress(console, build)
    took = in_time(time.monotonic() - started)
    if failed:
        _print_unusable(console, session)
        print_failures(console, failed)
        return 1
    console.print(f"Built {build.state.n_done} partitions in {took}.")
    _print_accounts(console, session)
    print_leaderboard(console, session)
    _print_places(console, session)
    return _print_unusable(console, session)


def _print_unusable(console: Console, session: Session) -> int:
    """Say that nothing of the pool can be used, and why; the exit code is 1 then."""
    problems = [nothing_usable(session.setting, account) for account in accounts(session.setting)]
    for text in filter(None, problems):
        console.print(Text.assemble(("wrong", "red"), f" {text}"), soft_wrap=True)
    return 1 if any(problems) else 0


def _print_accounts(console: Console, session: Session) -> None:
    """Where every sample went."""
    for account in accounts(session.setting):
        reasons = ", ".join(f"{n:,} {why}" for why, n in account.rejected.items()) or "none"
        speed = f"; {account.per_second:,.1f} URLs/s" if account.per_second else ""
        notes = "".join(f", {n:,} {note}" for note, n in account.notes.items())
        aside = f"{account.n_rejected:,} set aside ({reasons})"
        console.print(
            f"{account.what}: {account.n_all:,} = {account.n_usable:,} usable + {aside}; "
            f"{account.n_without_text:,} without text{notes}{speed}",
            highlight=False,
            soft_wrap=True,
        )
        if 2 * account.n_without_text > account.n_usable and account.what == RAW_POOL.name:
            print_seen_instead(console, session)

        if account.what == RAW_POOL.name and "missing_image" in account.rejected:
            for key, near in list(near_names(session.setting).items())[:3]:
                words = f"  missing_image {key}: the folder has {near}; write it so in the table"
                console.print(terminal.plain(words), soft_wrap=True)


def print_seen_instead(console: Console, session: Session) -> None:
    """Where the texts may be, of a pool most of whose samples have none."""
    shards = list(session.setting.shards.values())
    if note := pool_of(session.setting).where_texts_may_be(shards):
        console.print(terminal.plain(f"  {note}"), soft_wrap=True)


def print_failures(console: Console, failed: Mapping[str, str]) -> None:
    """Say what failed, and why."""
    names: dict[str, list[str]] = {}
    for name, error in sorted(failed.items()):
        names.setdefault(error, []).append(name)
    for error, alike in names.items():
        where = alike[0] if len(alike) == 1 else f"{len(alike)} partitions, {_listed(alike)}"
        console.print(Text.assemble(("failed", "red"), f" {where}: {error}"))
    console.print(f"{len(failed)} failed; the rest is kept. Mend the cause and run again.")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} ... {names[-1]}"


def show_progress(console: Console, build: Build) -> dict[str, str]:
    """Build, with a bar; what failed, and why."""
    started = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    )
    last_line = started
    with Progress(
        *columns, TimeElapsedColumn(), TextColumn("{task.fields[eta]}"), console=console,
        disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task("building", total=1.0, eta="")
        for event in build.events():
            if isinstance(event, Finished):
                _print_finished(bar.console, event, build.state, started)
                last_line = time.monotonic()
                continue
            bar.update(task, completed=event.share, eta=_eta(event, started))
            if not console.is_terminal and time.monotonic() - last_line > QUIET_SECONDS:
                console.print(_line(event, started), highlight=False)
                last_line = time.monotonic()
    return build.state.failed


def _print_finished(console: Console, event: Finished, state: State, started: float) -> None:
    mark = ("failed", "red") if event.failures else "built"
    share = f"{100 * state.share:3.0f}% {_eta(state, started)}"
    text = f" {event.batch.name} in {event.seconds:.1f} s"
    console.print(Text.assemble(f"{share}  ", mark, text))


def _eta(state: State, started: float) -> str:
    share = state.share
    if share < 0.02:
        return "ETA ..."
    left = (time.monotonic() - started) * (1 - share) / share
    return f"ETA {int(left // 60)}:{int(left % 60):02d}"


def _line(state: State, started: float) -> str:
    doing = ", ".join(f"{name} {100 * done:.0f}%" for name, done in sorted(state.running.items()))
    return f"{100 * state.share:3.0f}% {_eta(state, started)}  {doing}"


def _print_places(console: Console, session: Session) -> None:
    workspace = session.setting.workspace
    if workspace.report.exists():
        console.print(f"Report: {workspace.latest_report}", soft_wrap=True)
    console.print(f"Tables: {workspace.tables.root}", soft_wrap=True)
    console.print("UI:     make ui   (or: recap ui), then http://127.0.0.1:3000")
