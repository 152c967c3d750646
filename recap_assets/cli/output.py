"""Lines on the terminal: without secrets, and no letter that it lacks ends in an error."""

import io
import json
import sys
import traceback
from types import TracebackType

import click

from recap_assets.untrusted.log_records import guard
from recap_assets.untrusted.showing import safe_text


def prepare() -> None:
    """Make this process fit to write: secrets known, records and crashes cleaned, no lost letters.

    What the terminal's encoding does not have is shown by its code instead of ending in an error.
    """
    guard()
    sys.excepthook = _show_crash
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def echo(words: str, *, err: bool = False, nl: bool = True) -> None:
    """Write lines without secrets, control characters shown by their code."""
    # Named, since click takes a stream of ASCII for a mistake and writes UTF-8 past it.
    click.echo(safe_text(words), file=sys.stderr if err else sys.stdout, nl=nl)


def print_json(form: object) -> None:
    """Write what a program reads: an object or a list of some, as `cli.forms` has it."""
    echo(json.dumps(form, indent=2))


def show(error: click.ClickException) -> None:
    """Say on the error output what click has to say."""
    shown = io.StringIO()
    error.show(file=shown)
    echo(shown.getvalue(), err=True, nl=False)


def _show_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    echo("".join(traceback.format_exception(kind, error, trace)), err=True, nl=False)
