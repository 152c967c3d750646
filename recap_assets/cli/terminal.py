"""Tables and trees on the terminal: no secret goes there, and what a stranger wrote stays text."""

import sys
from collections.abc import Callable, Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from recap_assets.untrusted.secrets import redacted
from recap_assets.untrusted.showing import one_line, safe_text

WIDTH = 100
"""Columns of what is written to a file or a pipe."""
UNBROKEN = 10_000
"""Columns that no line has."""


class SafeConsole(Console):
    """A console that reads no markup and writes neither secrets nor others' commands."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def print(self, *objects: object, **options: object) -> None:
        """Print as rich does; secrets are cut out before lines are broken."""
        super().print(*map(_without_secrets, objects), **options)  # type: ignore[arg-type]

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces of a renderable; those that are text, and not rich's own commands, clean."""
        for segment in super().render(renderable, options):
            if segment.control or not segment.text.strip(" \n"):
                yield segment
            else:
                yield Segment(safe_text(segment.text), segment.style)


def console(*, stderr: bool = False) -> Console:
    """The terminal as wide as it is; anything else as wide as a page."""
    found = SafeConsole(stderr=stderr)
    return found if found.is_terminal else SafeConsole(stderr=stderr, width=WIDTH)


def is_watched() -> bool:
    """Whether a person can be asked: whatever comes through a pipe is no answer of one."""
    return sys.stdin.isatty()


def print_table(console: Console, table: Table, narrow: Callable[[], RenderableType]) -> None:
    """Print a table whole, or where the terminal is too narrow for it something else.

    Into a pipe it goes as wide as it is, so that no name is broken in two.

    Args:
        console: Where to.
        table: The table.
        narrow: Makes what is shown in its place.
    """
    wide = console.options.update(width=UNBROKEN)
    natural = Measurement.get(console, wide, table).maximum
    if natural > console.width and console.is_terminal:
        console.print(narrow())
        return
    width, console.width = console.width, max(natural, console.width)
    try:
        console.print(table)
    finally:
        console.width = width


def in_partitions(n: int) -> str:
    """So many partitions, in words."""
    return "1 partition" if n == 1 else f"{n:,} partitions"


def plain(words: str, style: str = "") -> Text:
    """Text on one line that neither rich nor the terminal takes for a command.

    Markup is not read. Control characters, such as those that begin an escape sequence or turn the
    direction of writing, are shown by their code.
    """
    return Text(one_line(words, limit=len(words)), style=style)


def _without_secrets(part: object) -> object:
    if isinstance(part, str):
        return redacted(part)
    if isinstance(part, Text) and (shown := redacted(part.plain)) != part.plain:
        return Text(shown, style=part.style)
    return part
