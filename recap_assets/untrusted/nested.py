"""Nested values from outside: how long they are when written out, counted before they are."""

from collections.abc import Iterator, Mapping
from typing import cast

from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import MAX_DEPTH


def check_size(value: object, limit: int, max_depth: int = MAX_DEPTH) -> None:
    """Refuse a value that is more than `limit` characters when written out, or nests too deep.

    A part that is there many times, as YAML's aliases make it, counts each time; counting stops at
    the limit, so a value costs no more than that however large it is.

    Raises:
        UntrustedError: It is larger or deeper.
    """
    left = limit
    todo: list[tuple[object, int]] = [(value, 1)]
    while todo:
        part, depth = todo.pop()
        left -= 1 + (len(part) if isinstance(part, str | bytes) else 0)
        if left < 0:
            msg = f"written out it has more than {limit:,} characters"
            raise UntrustedError(msg)
        if depth > max_depth:
            msg = f"it nests deeper than {max_depth} levels"
            raise UntrustedError(msg)
        if isinstance(part, Mapping):
            inner = cast("Mapping[object, object]", part)
            todo += [(one, depth + 1) for pair in inner.items() for one in pair]
        elif isinstance(part, list | tuple):
            todo += [(one, depth + 1) for one in cast("list[object]", part)]


def texts_of(value: object, limit: int = 1_000_000) -> Iterator[tuple[str, str]]:
    """Every text of a nested value with the keys that lead to it; of the first `limit` parts."""
    todo: list[tuple[str, object]] = [("", value)]
    while todo and limit > 0:
        path, part = todo.pop()
        limit -= 1
        if isinstance(part, str):
            yield path, part
        elif isinstance(part, Mapping):
            inner = cast("Mapping[object, object]", part)
            todo += [(f"{path}.{key}".lstrip("."), one) for key, one in inner.items()]
        elif isinstance(part, list | tuple):
            parts = cast("list[object]", part)
            todo += [(f"{path}.{i}".lstrip("."), one) for i, one in enumerate(parts)]
