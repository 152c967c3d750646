"""`tokenizer.json`: its patterns checked, and the whole tried in a process that can be ended.

A pattern may take for ever on a text made for it, a normalizer may make a gigabyte of a letter,
and a number of a token may ask for a table of four thousand million. The library is Rust, so
none of this can be interrupted in this process.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from recap_assets.engines.errors import ModelFolderError
from recap_assets.engines.model_folders.children import run_child
from recap_assets.engines.model_folders.configs import MAX_NUMBER, read_config, refuse
from recap_assets.untrusted.errors import UntrustedError

MAX_BYTES = 128 * 2**20
"""Gemma's has 33 MB."""

MAX_PADDED = 1 << 20
"""Tokens that a text is padded to."""

MAX_PATTERN = 4_096
MAX_INSERTED = 64
"""Characters that a normalizer puts in the place of one."""

SECONDS = 30.0
MEMORY_BYTES = 256 * 2**20
MEMORY_TIMES = 40
"""Bytes that a tokenizer takes, beside MEMORY_BYTES, for one of its file: the library's tables take
some thirty."""

_NESTED = re.compile(
    r"\\.|\[(?:\\.|[^\]\\])*\]|\(\?<?[=!]|\(|\)|[*+]|\{\d+,\d*\}|\{\d+\}|.", re.DOTALL
)


def check_tokenizer_file(path: Path, *, is_tried: bool = True) -> None:
    """Refuse a tokenizer that would not come to an end, or would take the process down.

    Args:
        path: A `tokenizer.json`.
        is_tried: Whether it is also tried out, in a process of its own.

    Raises:
        ModelFolderError: Naming the file, and the key where there is one.
        OSError: It is not there.
    """
    stat = path.stat()
    _check(path, stat.st_size, stat.st_mtime_ns, is_tried)


@lru_cache(maxsize=32)
def _check(path: Path, size: int, _modified: int, is_tried: bool) -> None:  # noqa: FBT001
    content = read_config(path, MAX_BYTES)
    _check_numbers(path, content)
    patterns = list(_patterns(content, ""))
    for key, pattern in patterns:
        if len(pattern) > MAX_PATTERN or repeats_repetition(pattern):
            why = "on some texts such a pattern takes for ever: no repetition within a repetition"
            raise refuse(path, key, pattern, why)
    if not is_tried:
        return
    task = {"path": str(path), "patterns": [pattern for _, pattern in patterns]}
    try:
        memory = MEMORY_BYTES + MEMORY_TIMES * size
        run_child(f"{__package__}.tokenizer_child", task, SECONDS, memory)
    except UntrustedError as error:
        raise ModelFolderError(f"{path}: no tokenizer that can be used: {error}") from error


def repeats_repetition(pattern: str) -> bool:
    """Whether something of no fixed length is repeated without an end, as in `(x+x+)+y`."""
    open_groups = [False]
    closed = False  # whether the item just read is a group that repeats without an end inside
    for part in _NESTED.findall(pattern):
        if part.startswith("("):
            open_groups.append(False)
            closed = False
        elif part == ")" and len(open_groups) > 1:
            closed = open_groups.pop()
            open_groups[-1] = open_groups[-1] or closed
        elif part in ("*", "+") or (part.startswith("{") and part.endswith(",}")):
            if closed:
                return True
            open_groups[-1] = True
        else:
            closed = closed and part.startswith(("{", "?"))
    return False


def _patterns(value: object, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in cast("dict[str, object]", value).items():
            if name == "Regex" and isinstance(inner, str):
                yield f"{key}.{name}", inner
            elif name not in ("vocab", "merges", "added_tokens"):
                yield from _patterns(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _patterns(inner, key)


def _check_numbers(path: Path, content: dict[str, Any]) -> None:
    model = content.get("model")
    vocabulary = cast("dict[str, Any]", model).get("vocab") if isinstance(model, dict) else None
    numbers = cast("dict[str, object]", vocabulary).values() if isinstance(vocabulary, dict) else ()
    for number in numbers:
        if not isinstance(number, int) or not 0 <= number <= MAX_NUMBER:
            raise refuse(path, "model.vocab", number, f"a token's number is at most {MAX_NUMBER:,}")
    for place, number in _lengths(content.get("padding"), "padding"):
        if not 0 <= number <= MAX_PADDED:
            why = f"no text is padded to more than {MAX_PADDED:,} tokens"
            raise refuse(path, place, number, why)
    for key in ("normalizer", "pre_tokenizer", "post_processor", "decoder", "padding"):
        for place, inserted in _inserted(content.get(key), key):
            if len(inserted) > MAX_INSERTED:
                why = f"more than {MAX_INSERTED} characters in the place of one"
                raise refuse(path, place, inserted[:80], why)


def _lengths(value: object, key: str) -> Iterator[tuple[str, int]]:
    for name, inner in cast("dict[str, object]", value if isinstance(value, dict) else {}).items():
        if name not in ("pad_id", "pad_type_id") and isinstance(inner, int):
            yield f"{key}.{name}", inner
        yield from _lengths(inner, f"{key}.{name}")


def _inserted(value: object, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in cast("dict[str, object]", value).items():
            if name in ("content", "prepend", "replacement") and isinstance(inner, str):
                yield f"{key}.{name}", inner
            yield from _inserted(inner, f"{key}.{name}")
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _inserted(inner, key)
