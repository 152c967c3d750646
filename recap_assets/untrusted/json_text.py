"""JSON from outside: bounded in size and depth, decoded as every other text is."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from recap_assets.untrusted.decoding import decode_text, reads_western
from recap_assets.untrusted.errors import UntrustedError

MAX_DEPTH = 64
"""Lists and mappings in each other; what the field writes has fewer than ten."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
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
    text, encoding = _text(data, limit)
    if _may_be_deep(text, max_depth) and depth_of(text) > max_depth:
        msg = f"its JSON nests deeper than {max_depth} levels"
        raise UntrustedError(msg)
    try:
        return Parsed(json.loads(text), encoding)
    except (ValueError, RecursionError) as error:
        msg = f"it is no JSON ({error})"
        raise UntrustedError(msg) from error


def json_items(data: bytes, limit: int) -> Iterator[object]:
    """The values of a JSON list one after another, without all of them in memory at once.

    Each may nest as deep as Python's parser goes, some hundred levels.

    Raises:
        UntrustedError: As `parse_json`, where the damage is met; or it is no list.
    """
    text, _ = _text(data, limit)
    at = _after_space(text, 0)
    if not text.startswith("[", at):
        msg = "it is no list"
        raise UntrustedError(msg)
    at = _after_space(text, at + 1)
    is_first = True
    while not (is_first and text.startswith("]", at)):
        try:
            value, at = _DECODER.raw_decode(text, at)
        except RecursionError as error:
            msg = "its JSON nests deeper than is read"
            raise UntrustedError(msg) from error
        except ValueError as error:
            msg = f"it is no JSON ({error})"
            raise UntrustedError(msg) from error
        yield value
        is_first, at = False, _after_space(text, at)
        if text.startswith("]", at):
            break
        if not text.startswith(",", at):
            msg = f"it is no JSON (no comma at character {at:,})"
            raise UntrustedError(msg)
        at = _after_space(text, at + 1)
    if _after_space(text, at + 1) < len(text):
        msg = "it is no JSON (more follows its list)"
        raise UntrustedError(msg)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _text(data: bytes, limit: int) -> tuple[str, str | None]:
    if len(data) > limit:
        msg = f"its JSON has {len(data):,} bytes, at most {limit:,} are taken"
        raise UntrustedError(msg)
    text, encoding = decode_text(data)
    # Among brackets and field names a string of another code page would pass for Western.
    if text is None or (encoding == "cp1252" and not all(map(reads_western, _strings(text)))):
        msg = "it is not UTF-8"
        raise UntrustedError(msg)
    return text, encoding


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
