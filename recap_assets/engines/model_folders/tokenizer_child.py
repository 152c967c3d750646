"""Loads a tokenizer and gives it hard texts; runs in a process of its own."""

import re
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer

LENGTH = 2_000


def run(task: dict[str, Any]) -> int:
    """Tokens of the hard texts in all."""
    tokenizer = Tokenizer.from_file(task["path"])
    return sum(len(tokenizer.encode(text).ids) for text in _texts(task["patterns"]))


def _texts(patterns: list[str]) -> Iterator[str]:
    """Runs of the letters that the patterns name, which never come to a match's end."""
    letters = dict.fromkeys("".join(re.findall(r"\w", "".join(patterns)))[:64])
    yield "A dog, 3 cats & 1\u00a0boat\u2026 \U0001f6a4"
    for letter in ("a", "1", " ", "!", *letters):
        yield letter * LENGTH + "\0"
