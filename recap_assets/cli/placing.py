"""Where in the experiment file a value is that an error names by its keys."""

import os
import re
from pathlib import Path

from recap_assets.specs.yaml_lines import Source

_KEYS = re.compile(r"([a-z_]+(?:\.[\w-]+)+): ")


def with_place(text: str, path: Path | None) -> str:
    """The text, with file and line before it where it begins with keys that the file has.

    Args:
        text: Such as `pool.shards: there is no folder shards`.
        path: The experiment file; None where none was opened.
    """
    found = _KEYS.match(text)
    if path is None or found is None:
        return text
    place = Source(_as_typed(path)).at(found[1].split("."))
    return f"{place}: {text}" if place != _as_typed(path) else text


def _as_typed(path: Path) -> str:
    """The path as people write it: without the folder in which they are."""
    here = Path.cwd()
    return os.fspath(path.relative_to(here) if path.is_relative_to(here) else path)
