"""Texts from outside made fit to stand in a prompt: as something quoted, and nothing else.

An alt-text may ask the model that reads it for something else than the prompt does. What it asks
cannot be known from its words, but what it can use is taken from it: the marks by which a chat's
turns begin and end, names of roles, line ends, letters that nobody sees, and length.
"""

import re
import unicodedata
from collections.abc import Collection

OPENS, CLOSES = "«", "»"
"""What a text is quoted by; within it they are other quotation marks."""

MOST_CHARACTERS = 1_000
"""Of a text in a prompt, where nothing else is said."""

_MARK = re.compile(r"[<◁](?=\S)|\[(?=/?[A-Za-z_]+\])")
"""How marks of turns begin in all known chat templates: `<|im_end|>`, `</s>`, `[INST]`."""

_ROLE = re.compile(
    r"\b(system|user|assistant|human|ai|instruction|response)s?\s*[:\uff1a]", re.IGNORECASE
)
_JOINERS = "\u200c\u200d"
"""Letters of some scripts and pictures are joined by them."""


def harmless(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text on one line, without marks of turns and roles, cut after `most` characters.

    A mark is broken by a space (`< |im_end|>`), which no tokenizer takes for the mark, and the
    colon after a role becomes a dash; what is seen of any other text is as it was.
    """
    # What is cut beforehand is cut afterwards anyway, but for what is seen of nothing.
    seen = "".join(map(_seen, text[: 8 * most]))
    line = " ".join(seen.split())
    line = line.replace(OPENS, "“").replace(CLOSES, "”")
    line = _ROLE.sub(lambda role: f"{role[1]} -", _MARK.sub(lambda mark: f"{mark[0]} ", line))
    return _cut(re.sub(r"##+", "#", line), most)


def quoted(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text as `harmless` gives it between « and », neither of which is in it."""
    return f"{OPENS}{harmless(text, most)}{CLOSES}"


def without_tokens(text: str, tokens: Collection[str]) -> str:
    """A text in which none of a tokenizer's own tokens is: each is broken by a space.

    Tokens of one letter and of white space are left; one that cannot be broken is taken out.
    """
    strict = [token for token in tokens if len(token) > 1 and token.strip()]
    for between in (" ", " ", ""):
        for token in strict:
            text = text.replace(token, f"{token[0]}{between}{token[1:]}" if between else "")
    while there := [token for token in strict if token in text]:
        for token in there:
            text = text.replace(token, "")
    return text


def _seen(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Zs", "Zl", "Zp") or character.isspace():
        return " "
    if character in _JOINERS or category[0] != "C":
        return character
    return ""


def _cut(text: str, most: int) -> str:
    """The text's first characters, up to the end of a word where one ends in the last tenth."""
    if len(text) <= most:
        return text
    kept = text[:most]
    head, space, _ = kept.rpartition(" ")
    return head if space and len(head) >= 0.9 * most else kept.rstrip()
