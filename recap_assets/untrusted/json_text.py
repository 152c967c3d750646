"""JSON from outside: bounded in size and depth, decoded as every other text is."""

import json
import re
from typing import NamedTuple

from recap_assets.untrusted.decoding import decode_text, reads_western
from recap_assets.untrusted.errors import UntrustedError

MAX_DEPTH = 64
"""Lists and mappings in each other; what the field writes has fewer than ten."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")


class Parsed(NamedTuple):
    """A value, and the encoding that its JSON was in, as `decode_text` names it."""

    value: object
    encoding: str | None


def parse_json(data: bytes, limit: int, max_depth: int = MAX_DEPTH) -> object:
    """The value of a JSON text of at most `limit` bytes.

    NaN and Infinity, which JSON does not have and Python writes, are floats. A byte-order mark is
    taken.

    Raises:
        UntrustedError: It is longer, deeper, not decodable, or no JSON.
    """
    return decode_json(data, limit, max_depth).value


def decode_json(data: bytes, limit: int, max_depth: int = MAX_DEPTH) -> Parsed:
    """As `parse_json`, with the encoding.

    Raises:
        UntrustedError: As `parse_json`.
    """
    if len(data) > limit:
        msg = f"its JSON has {len(data):,} bytes, at most {limit:,} are taken"
        raise UntrustedError(msg)
    text, encoding = decode_text(data)
    # Among brackets and field names a string of another code page would pass for Western.
    if text is None or (encoding == "cp1252" and not all(map(reads_western, _strings(text)))):
        msg = "it is not UTF-8"
        raise UntrustedError(msg)
    if _may_be_deep(text, max_depth) and depth_of(text) > max_depth:
        msg = f"its JSON nests deeper than {max_depth} levels"
        raise UntrustedError(msg)
    try:
        return Parsed(json.loads(text), encoding)
    except (ValueError, RecursionError) as error:
        msg = f"it is no JSON ({error})"
        raise UntrustedError(msg) from error


def _strings(text: str) -> list[str]:
    return [string.strip('"') for string in _STRING.findall(text)]


def _may_be_deep(text: str, max_depth: int) -> bool:
    return text.count("{") + text.count("[") > max_depth


def depth_of(text: str) -> int:
    """How many brackets are open at once at the most, those in strings aside."""
    depth = deepest = 0
    for bracket in _BRACKETS.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
