"""Text from outside made fit to be shown: on a terminal, in a log, on a page."""

from collections.abc import Sequence

from recap_assets.untrusted.secrets import redacted

MAX_SHOWN = 2_000
"""Characters of one outside text that are shown at most."""


def one_line(words: str, limit: int = MAX_SHOWN) -> str:
    """`words` on one line, without secrets or anything that a terminal takes for a command.

    Control characters, such as those that begin an escape sequence or turn the direction of
    writing, are shown by their code. What is longer than `limit` characters is cut and says so.
    """
    shown = redacted(words[: 2 * limit])  # before the cut, which may part a secret
    cut = shown if len(words) <= limit else f"{shown[:limit]}… ({len(words):,} characters)"
    return " ".join(cleaned(cut).split())


def listed(names: Sequence[str], most: int = 50) -> str:
    """Names from outside, such as those of columns, on one line; `most` of them."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(one_line(name, 80) for name in names[:most]) + more


def safe_text(words: str) -> str:
    """`words` without secrets or commands to a terminal, line ends kept."""
    return cleaned(redacted(words))


def cleaned(words: str) -> str:
    """`words` with every character that is not printable shown by its code; line ends stay."""
    if words.isprintable():
        return words
    return "".join(map(_shown, words))


def _shown(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    if character.isspace():
        return " "
    return character.encode("unicode_escape").decode()
