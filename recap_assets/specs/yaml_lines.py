"""Where in an experiment file a key is: for messages, which name it as FILE:LINE."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from recap_assets.specs.yaml_text import MAX_BYTES, MERGE, node_of
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import read_bounded

RULES = "rules"
"""A mix may be its list of rules, or have it under this key."""


@dataclass(frozen=True)
class Source:
    """What an experiment is read from, as messages name it.

    Attributes:
        name: Of the file, or of what stands in its place.
        laid_over: Key paths whose values are not the file's but were laid over it.
    """

    name: str
    laid_over: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The name alone."""
        return self.name

    def at(self, keys: Sequence[str]) -> str:
        """The name and, where the file says it, the line of a key: `mine.yaml:12`."""
        if any(_is_below(keys, path.split(".")) for path in self.laid_over):
            return self.name
        line = line_of(self._root, keys) if self._root is not None else None
        return self.name if line is None else f"{self.name}:{line}"

    @cached_property
    def _root(self) -> yaml.Node | None:
        """What the file holds; None where there is no such file, or it changed meanwhile."""
        try:
            return node_of(read_bounded(Path(self.name), MAX_BYTES))
        except (OSError, UntrustedError):
            return None


def line_of(root: yaml.Node, keys: Sequence[str]) -> int | None:
    """The line, from 1, of the last of these keys that is written; None where the first is not.

    Args:
        root: Of the file.
        keys: From the outermost; a place in a list counts from 0. `rules` may be missing in the
            file, where a mix is its list of rules.
    """
    at, found = root, None
    for key in keys:
        if key == RULES and isinstance(at, yaml.SequenceNode):
            continue
        step = next(_steps(at, key), None)
        if step is None:
            break
        found, at = step
    return found


def _steps(at: yaml.Node, key: str) -> Iterator[tuple[int, yaml.Node]]:
    """The line of a key, and what it holds; also of a mapping that is merged into this one."""
    if isinstance(at, yaml.SequenceNode) and key.isdecimal() and int(key) < len(at.value):
        item: yaml.Node = at.value[int(key)]
        yield item.start_mark.line + 1, item
    elif isinstance(at, yaml.MappingNode):
        for name, value in at.value:
            if name.value == key:
                yield name.start_mark.line + 1, value
        for name, value in at.value:
            if name.tag == MERGE:
                merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
                yield from (step for one in merged for step in _steps(one, key))


def _is_below(keys: Sequence[str], above: Sequence[str]) -> bool:
    below, above = ([key for key in path if key != RULES] for path in (keys, above))
    return below[: len(above)] == above
