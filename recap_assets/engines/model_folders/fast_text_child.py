"""Loads a fastText model and asks it once; runs in a process of its own."""

from typing import Any

import fasttext  # pyright: ignore[reportMissingTypeStubs]


def run(task: dict[str, Any]) -> int:
    """Labels of a short text."""
    labels, _ = fasttext.load_model(task["path"]).predict("a")
    return len(labels)
