"""Where captions part: into sentences, at commas, at line ends.

Rules and no model: a caption is short, and its language not known. They know English abbreviations,
initials, numbers, quotations and lists, the full stops of Chinese and Japanese, and captions of
models that write no capitals (`a dog . a cat .`). Where it is open whether a sentence ends, it does
not: half a sentence is a worse caption than two of them.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

At = Literal["sentence", "comma", "newline"]

MOST_CHARACTERS = 65_536
"""Of a text that is parted; no text of a pool is longer."""


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_NEVER_LAST = _words(
    "mr mrs ms messrs dr prof rev hon st sts mt mts capt cmdr sgt cpl lt gov sen pres vs cf eg ie "
    "e.g i.e viz ca circa approx appx est incl esp ave blvd rd hwy"
)
"""Abbreviations that stand before what they belong to."""

_BEFORE_A_NUMBER = _words(
    "no nos nr fig figs vol vols pp ch sec art max min avg tel ext temp jan feb mar apr jun jul "
    "aug sep sept oct nov dec"
)
"""Abbreviations before a number; before anything else they may be words, and end a sentence."""

_MAY_BE_LAST = _words(
    "etc al jr sr inc ltd co corp llc bros a.m p.m am pm ph.d m.d in ft cm mm km kg lb lbs oz sq "
    "hr hrs yr yrs pc pcs pkg qty dept"
)
"""Abbreviations that a sentence may end with: it does where a capital follows."""

_STARTERS = _words(
    "the a an it its this that these those there they he she we you i his her their our in on at "
    "with behind next above below under overall additionally both each two three several "
    "some"
)
"""What a sentence of a caption begins with: behind an initial, they say that one ended."""

_APOSTROPHE = "\u2019"
_OPENING = "\"'\u201c\u2018\u00ab(["
_CLOSING = "\"'\u2019\u201d\u00bb)\\]"
_WIDE = "\u3002\uff01\uff1f"
"""Full stop, exclamation and question mark of Chinese and Japanese, which no space follows."""
_WIDE_CLOSING = "\u2019\u201d\u300d\u300f\uff09"
_WIDE_COMMAS = "\uff0c\uff1b\u3001"

_LINES = re.compile(r"[\n\r\u2028\u2029]+")
_ENDS = re.compile(
    rf"(?:(?<![.!?…])[.!?…]++[{_CLOSING}]*+(?=\s)"  # marks, what they close, and a space
    rf"|(?<![{_WIDE}])[{_WIDE}]++[{_WIDE_CLOSING}]*+)\s*+"
)
_COMMAS = re.compile(rf"(?<!\d)[,;]|[,;](?!\d)|[{_WIDE_COMMAS}]")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_NUMBER = re.compile(r"\(?\d{1,3}")
_NO_LETTER = re.compile(rf"[^\w.'{_APOSTROPHE}-]")

_NEAR = 200
"""Characters before and after a mark that are looked at: the work is bounded for any text."""


def parts_of(text: str, at: At) -> Iterator[str]:
    """The parts of a text that have words, each once, in their order, without outer white space.

    Args:
        text: Any text.
        at: `newline`: the lines. `sentence`: the sentences of each line. `comma`: what commas and
            semicolons part these into, but for those within numbers.
    """
    seen: set[str] = set()
    for part in _parts(text[:MOST_CHARACTERS], at):
        stripped = " ".join(part.split()).strip(f" ,;{_WIDE_COMMAS}")
        if stripped not in seen and any(map(_says_something, stripped)):
            seen.add(stripped)
            yield stripped


def _parts(text: str, at: At) -> Iterator[str]:
    for line in _LINES.split(text):
        if at == "newline":
            yield line
            continue
        for sentence in sentences_of(line):
            yield from _COMMAS.split(sentence) if at == "comma" else (sentence,)


def sentences_of(line: str) -> Iterator[str]:
    """The sentences of one line; together they are the line."""
    has_capitals = any(map(str.isupper, line))
    start = 0
    for end in _ENDS.finditer(line):
        before = line[max(start, end.start() - _NEAR) : end.start()]
        after = line[end.end() : end.end() + _NEAR]
        if _is_end(before, end[0], after, has_capitals=has_capitals):
            yield line[start : end.end()]
            start = end.end()
    yield line[start:]


def _is_end(before: str, marks: str, after: str, *, has_capitals: bool) -> bool:
    """Whether a sentence ends between what is before and what is after some marks."""
    if not after or marks[0] in _WIDE:
        return True
    if before.count("(") > before.count(")") and ")" in after:
        return False
    begun = after.lstrip(_OPENING)
    begins_small = begun[:1].islower()
    if marks[0] in "!?":
        return not begins_small or not has_capitals
    if marks.startswith(("..", "…")):
        return not begins_small
    return _ends_by_point(before, begun, has_capitals=has_capitals)


def _ends_by_point(before: str, after: str, *, has_capitals: bool) -> bool:
    """Whether a sentence ends with a single point; `after` begins with a word."""
    word = _NO_LETTER.split(before[-40:])[-1].strip(f"'{_APOSTROPHE}-").lower()
    begins_small = after[:1].islower()
    if not word:  # as in `a dog . a cat .`
        return True
    if word in _NEVER_LAST or (word in _BEFORE_A_NUMBER and after[:1].isdigit()):
        return False
    if _NUMBER.fullmatch(before.strip()):  # of an item of a list
        return False
    if word in _MAY_BE_LAST:
        return not begins_small and has_capitals
    if _INITIALS.fullmatch(word):  # by J. Smith; but: vitamin C. It is
        return after.split(" ", 1)[0].lower() in _STARTERS and not begins_small
    return not (begins_small and has_capitals)


def _says_something(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LN" or category == "So"
