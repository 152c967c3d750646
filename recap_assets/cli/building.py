"""`recap build`: the plan, progress with an ETA, and what came of it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.assembly.accounts import accounts, near_names
from recap_assets.cli import terminal
from recap_assets.cli.belonging import take
from recap_assets.cli.budget import has_prices, print_spent
from recap_assets.cli.chosen import typed
from recap_assets.cli.leaderboard import print_leaderboard
from recap_assets.cli.left_aside import nothing_usable, print_left_aside
from recap_assets.cli.output import print_json
from recap_assets.cli.planning import (
    expected,
    gone,
    named,
    part_of,
    plan_table,
    print_parts,
    print_plan,
    print_tokens,
    refuse_unbuildable,
)
from recap_assets.cli.progress import print_failures, show_progress
from recap_assets.defs.building import Build
from recap_assets.defs.session import Session
from recap_assets.defs.worker_start import WorkerProcesses
from recap_assets.graph.budget import BudgetError, read_budget
from recap_assets.graph.node import Leaving
from recap_assets.graph.planner import Plan
from recap_assets.graph.reuse import COMPUTED, REUSED, REUSED_FROM
from recap_assets.graph.selection import select_assets
from recap_assets.lineage.amounts import in_time
from recap_assets.mixes.left_out import stored_parts
from recap_assets.pool.assets import pool_of


@dataclass(frozen=True)
class Asked:
    """What the user said beforehand.

    Attributes:
        yes: Build without asking.
        remove: Remove what left the experiment without asking; alone, nothing is built.
        dry_run: Show the plan, and stop.
        take_over: Take results that another file of the same name built.
        no_reuse: Compute whatever is out of date, though it was computed before.
        as_json: Print an object of what was done, and what people read to the error output.
        budget: What may be spent, as it was written.
    """

    yes: bool = False
    remove: bool = False
    dry_run: bool = False
    take_over: bool = False
    no_reuse: bool = False
    as_json: bool = False
    budget: tuple[str, ...] = ()


def run_build(
    session: Session,
    jobs: int,
    asked: Asked,
    select: Sequence[str] = (),
    processes: WorkerProcesses | None = None,
) -> int:
    """Build what is out of date; the exit code is 1 where something failed or nothing was agreed.

    `processes` are the workers' where some were started before.

    Raises:
        TakenError: The results are another file's.
        BudgetError: The budget is none, or of money where nothing has a price.
    """
    budget = read_budget(asked.budget, time.time()) if asked.budget else None
    if budget is not None and budget.money is not None and not has_prices(session.project):
        msg = (
            f"--budget: nothing has a price, so no {budget.currency} can be counted: set "
            "prices.gpu_hour, or price_per_million_prompt_tokens of a source"
        )
        raise BudgetError(msg)
    reuses = not asked.no_reuse
    if asked.dry_run:
        print_plan(session, as_json=asked.as_json, why_of=None, select=select, reuses=reuses)
        return 0
    console = terminal.console(stderr=asked.as_json)
    chosen = select_assets(session.graph, select) if select else None
    build = Build(session, jobs, chosen, reuses=reuses, budget=budget, processes=processes)
    done = Done()
    code = _bring_up_to_date(console, build, asked, done)
    if asked.as_json:
        print_json(_as_json(session, build, done))
    return code


@dataclass
class Done:
    """What became of a plan.

    Attributes:
        agreed: Whether anything was to be done: False where a person or nobody said no.
        n_removed: Partitions that left the experiment, and went.
        n_kept: Partitions that left it, and stay.
        seconds: What building took.
    """

    agreed: bool = True
    n_removed: int = 0
    n_kept: int = 0
    seconds: float = 0.0


def _bring_up_to_date(console: Console, build: Build, asked: Asked, done: Done) -> int:
    session, first = build.session, build.plan()
    if not first:
        console.print(f"{named(session)}: everything is up to date.", soft_wrap=True)
        print_left_aside(console, session.project)
        _print_places(console, session)
        return _print_unusable(console, session)
    refuse_unbuildable(session, first)
    _print_first(console, build, first, asked)
    take(session, anyway=asked.take_over)
    said = asked.yes or asked.remove
    if not (said or _agreed(console, first)):
        done.agreed = False
        return 1
    builds, removes = bool(first.to_build) and (asked.yes or not said), asked.remove or not said
    # A model of another name may be what the build takes over: it goes when that is done.
    later = [one for one in first.removals if builds and removes and build.may_take_over(one)]
    if first.removals:
        now = [one for one in first.removals if one not in later]
        _remove_or_keep(console, build, first, done, now if removes else None)
    code = _run(console, session, build, done) if builds else 0
    if later and code:
        console.print(f"{_partitions(later)} that left stay, since not all was built.")
    elif later:
        _remove(console, build, later, done)
    return code


def _print_first(console: Console, build: Build, first: Plan, asked: Asked) -> None:
    """The plan as `recap plan` prints it, with the rows that are computed."""
    session, part = build.session, part_of(build.session, first)
    reuses = not asked.no_reuse
    estimates = expected(session, build.estimates.records, first, part, reuses=reuses)
    console.print(plan_table(first, session, estimates))
    print_tokens(first, session, estimates, err=asked.as_json)
    print_parts(part.parts, err=asked.as_json)
    print_left_aside(console, session.project)


def _as_json(session: Session, build: Build, done: Done) -> dict[str, object]:
    """`cli.forms.BuildDone`."""
    state, workspace = build.state, session.project.workspace
    return {
        "experiment": session.project.experiment.name,
        "data": str(workspace.root),
        "agreed": done.agreed,
        "built": state.n_done,
        "taken_over": state.n_taken_over,
        "removed": done.n_removed,
        "kept": done.n_kept,
        "failed": dict(sorted(state.failed.items())),
        "rows": {asset: dict(counts) for asset, counts in sorted(state.rows.items())},
        "accounts": [
            {
                "asset": one.what,
                "rows": one.n_all,
                "usable": one.n_usable,
                "without_text": one.n_without_text,
                "rejected": dict(one.rejected),
            }
            for one in accounts(session.project)
        ],
        "seconds": round(done.seconds, 2),
        "report": str(workspace.latest_report) if workspace.report.exists() else None,
    }


def _agreed(console: Console, first: Plan) -> bool:
    """A person's answer to the question; where nobody sits there, nothing is asked."""
    if not terminal.is_watched():
        console.print(
            "Nothing was done: nobody can be asked here. `--yes` builds, `--remove` removes what "
            "left the experiment.",
            soft_wrap=True,
        )
        return False
    n_gone = len(gone(first))
    removes = f", and remove {n_gone:,} that left the experiment" if n_gone else ""
    question = f"Build {terminal.in_partitions(len(first.to_build))}{removes}? [y/N] "
    try:
        answer = console.input(question, markup=False)
    except EOFError:
        console.print("no answer\nNothing was done.")
        return False
    if answer.strip().lower() not in {"y", "yes"}:
        console.print("Nothing was done.")
        return False
    return True


def _remove_or_keep(
    console: Console, build: Build, first: Plan, done: Done, now: Sequence[Leaving] | None
) -> None:
    if now is None:
        done.n_kept = len(gone(first))
        console.print(
            f"{_partitions(first.removals)} that left the experiment stay: `--remove` removes them."
        )
    elif now:
        _remove(console, build, now, done)


def _remove(console: Console, build: Build, leaving: Sequence[Leaving], done: Done) -> None:
    build.remove(leaving)
    done.n_removed += len(gone(Plan((), tuple(leaving))))
    console.print(
        f"Removed {_partitions(leaving)} that left the experiment; their lineage is kept."
    )


def _partitions(leaving: Sequence[Leaving]) -> str:
    return terminal.in_partitions(len(gone(Plan((), tuple(leaving)))))


def _run(console: Console, session: Session, build: Build, done: Done) -> int:
    started = time.monotonic()
    failed = show_progress(console, build)
    done.seconds = time.monotonic() - started
    took = in_time(done.seconds)
    if failed:
        _print_unusable(console, session)
        print_failures(console, failed)
        return 1
    taken = build.state.n_taken_over
    of_which = f", {taken:,} of them taken over from earlier results" if taken else ""
    console.print(
        f"Built {terminal.in_partitions(build.state.n_done)} in {took}{of_which}.", soft_wrap=True
    )
    if build.purse:
        print_spent(console, session.project, build)
    _print_rows(console, build.state.rows)
    print_parts(stored_parts(session.project), err=console.stderr)
    _print_accounts(console, session)
    print_leaderboard(console, session)
    _print_places(console, session)
    return _print_unusable(console, session)


def _print_rows(console: Console, rows: Mapping[str, Mapping[str, int]]) -> None:
    """How many rows were computed, and how many were there before, where some were."""
    for asset, counts in sorted(rows.items()):
        if not counts.get(REUSED):
            continue
        places = ", ".join(
            f"{n:,} of {name.removeprefix(REUSED_FROM)}"
            for name, n in counts.items()
            if name.startswith(REUSED_FROM)
        )
        computed, reused = counts.get(COMPUTED, 0), counts[REUSED]
        words = f"{asset}: {computed:,} computed, {reused:,} reused ({places})"
        console.print(terminal.plain(words), soft_wrap=True)


def _print_unusable(console: Console, session: Session) -> int:
    """Say that nothing of the pool can be used, and why; the exit code is 1 then."""
    found = (nothing_usable(session.project, account) for account in accounts(session.project))
    problems = list(filter(None, found))
    # Where nothing was indexed, other assets were selected.
    if not problems or not session.read_records().latest(RAW_POOL.key()):
        return 0
    for text in problems:
        console.print(Text.assemble(("wrong", "red"), f" {text}"), soft_wrap=True)
    return 1


def _print_accounts(console: Console, session: Session) -> None:
    """Where every sample went."""
    for account in accounts(session.project):
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
            for key, near in list(near_names(session.project).items())[:3]:
                words = f"  missing_image {key}: the folder has {near}; write it so in the table"
                console.print(terminal.plain(words), soft_wrap=True)


def print_seen_instead(console: Console, session: Session) -> None:
    """Where the texts may be, of a pool most of whose samples have none."""
    shards = list(session.project.shards.values())
    if note := pool_of(session.project).where_texts_may_be(shards):
        console.print(terminal.plain(f"  {note}"), soft_wrap=True)


def _print_places(console: Console, session: Session) -> None:
    workspace = session.project.workspace
    if workspace.report.exists():
        console.print(f"Report: {workspace.latest_report}", soft_wrap=True)
    console.print(f"Tables: {workspace.tables.root}", soft_wrap=True)
    # Cleaned alone: what cleans a text makes one space of several.
    for label, command in (("Look:  ", "look"), ("UI:    ", "ui")):
        console.print(label, terminal.plain(typed(command)), highlight=False, soft_wrap=True)
