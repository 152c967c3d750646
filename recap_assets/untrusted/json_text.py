"""JSON from outside: bounded in size and depth, decoded as every other text is."""

import json
import re

from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import UntrustedError

MAX_DEPTH = 64
"""Lists and mappings in each other; what the field writes has fewer than ten."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")


def parse_json(data: bytes, limit: int, max_depth: int = MAX_DEPTH) -> object:
    """The value of a JSON text of at most `limit` bytes.

    NaN and Infinity, which JSON does not have and Python writes, are floats. A byte-order mark is
    taken.

    Raises:
        UntrustedError: It is longer, deeper, not decodable, or no JSON.
    """
    if len(data) > limit:
        msg = f"its JSON has {len(data):,} bytes, at most {limit:,} are taken"
        raise UntrustedError(msg)
    text = decode_text(data).text
    if text is None:
        msg = "it is not UTF-8"
        raise UntrustedError(msg)
    if depth_of(text) > max_depth:
        msg = f"its JSON nests deeper than {max_depth} levels"
        raise UntrustedError(msg)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"it is no JSON ({error})"
        raise UntrustedError(msg) from error


def depth_of(text: str) -> int:
    """How many brackets are open at once at the most, those in strings aside."""
    depth = deepest = 0
    for bracket in _BRACKETS.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
