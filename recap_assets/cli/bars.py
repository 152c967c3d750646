"""A bar for what is written or sent piece by piece."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

QUIET_SECONDS = 10.0


@contextmanager
def bar(console: "Console", what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left; where nobody watches, a line now and then."""
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from recap_assets.lineage.amounts import in_time

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    started = last = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=1)

        def advance(done: int, total: int) -> None:
            nonlocal last
            bar.update(task, completed=done, total=total)
            now = time.monotonic()
            if not console.is_terminal and now - last > QUIET_SECONDS and done:
                left = in_time((now - started) * (total - done) / done)
                console.print(f"{what}: {done:,} of {total:,}, ETA {left}", highlight=False)
                last = now

        yield advance
