"""Text from outside made fit to be shown: on a terminal, in a log, on a page."""

MAX_SHOWN = 2_000
"""Characters of one outside text that are shown at most."""


def one_line(words: str, limit: int = MAX_SHOWN) -> str:
    """`words` on one line, without anything that a terminal takes for a command.

    Control characters, such as those that begin an escape sequence or turn the direction of
    writing, are shown by their code. What is longer than `limit` characters is cut and says so.
    """
    cut = words if len(words) <= limit else f"{words[:limit]}… ({len(words):,} characters)"
    return " ".join(cleaned(cut).split())


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
