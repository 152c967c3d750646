"""Captions and keys on a terminal: what a stranger wrote stays text."""

from rich.text import Text


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
