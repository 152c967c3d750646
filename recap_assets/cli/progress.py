"""What is shown while a build runs: a bar with an ETA, and at its end what failed."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from recap_assets.defs.build_state import Finished, State

QUIET_SECONDS = 10.0


class Running(Protocol):
    """A build that can be run, such as `defs.building.Build`."""

    state: State

    def events(self) -> Iterator[State | Finished]:
        """Run it; its state whenever something happened, and each batch that ended."""
        ...


def print_failures(console: Console, failed: Mapping[str, str]) -> None:
    """Say what failed, and why."""
    names: dict[str, list[str]] = {}
    for name, error in sorted(failed.items()):
        names.setdefault(error, []).append(name)
    for error, alike in names.items():
        where = alike[0] if len(alike) == 1 else f"{len(alike)} partitions, {_listed(alike)}"
        console.print(Text.assemble(("failed", "red"), f" {where}: {error}"))
    console.print(f"{len(failed)} failed; the rest is kept. Fix the cause and run again.")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} ... {names[-1]}"


def show_progress(console: Console, build: Running) -> dict[str, str]:
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
                console.print(_line(event, started), highlight=False, soft_wrap=True)
                last_line = time.monotonic()
    return build.state.failed


def _print_finished(console: Console, event: Finished, state: State, started: float) -> None:
    mark = ("failed", "red") if event.failures else "built"
    share = f"{100 * state.share:3.0f}% {_eta(state, started)}"
    text = f" {event.batch.name} in {event.seconds:.1f} s"
    console.print(Text.assemble(f"{share}  ", mark, text), soft_wrap=not console.is_terminal)


def _eta(state: State, started: float) -> str:
    left = state.seconds_left(time.monotonic() - started)
    if left is None:
        return "ETA ..."
    # As in the plan, `~` is a guess.
    guess = "~" if state.is_guess else ""
    return f"ETA {guess}{int(left // 60)}:{int(left % 60):02d}"


def _line(state: State, started: float) -> str:
    doing = ", ".join(f"{name} {100 * done:.0f}%" for name, done in sorted(state.running.items()))
    return f"{100 * state.share:3.0f}% {_eta(state, started)}  {doing}"
