"""The terminal: its width, and that what a stranger wrote stays text there."""

from rich.console import Console
from rich.text import Text

WIDTH = 100
"""Columns of what is written to a file or a pipe."""


def console() -> Console:
    """The terminal as wide as it is; anything else as wide as a page."""
    found = Console()
    return found if found.is_terminal else Console(width=WIDTH)


def plain(words: str, style: str = "") -> Text:
    """Text on one line that neither rich nor the terminal takes for a command.

    Markup is not read. Control characters, such as those that begin an escape sequence or turn the
    direction of writing, are shown by their code.
    """
    return Text(" ".join("".join(map(_shown, words)).split()), style=style)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return " "
    return character.encode("unicode_escape").decode()
