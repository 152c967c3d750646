"""The dotted key of one setting of a named part: `mixes.best.rules.0.where.top`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

Content = dict[str, Any]
Value = str | int | float | bool

_DIGITS = 6
"""Of a place in a list; longer ones are none."""


class SettingKeyError(ValueError):
    """A key leads to no setting. The text begins with it."""


@dataclass(frozen=True)
class SettingKey:
    """One setting of a part of an experiment.

    Attributes:
        section: The part's section.
        name: The part's name.
        keys: The setting within the part; numbers count places in a list, from 0.
    """

    section: str
    name: str
    keys: tuple[str, ...]

    @property
    def path(self) -> str:
        """As it is written."""
        return ".".join((self.section, self.name, *self.keys))

    @property
    def setting(self) -> str:
        """In a word: the last key that is no number."""
        return next((key for key in reversed(self.keys) if not key.isdecimal()), self.keys[-1])


def set_at(part: Content, keys: Sequence[str], value: object, path: str) -> None:
    """Set a setting within a part, as it is written in YAML; mappings on the way are made.

    Raises:
        SettingKeyError: The keys lead to no place in it; `path` names them.
    """
    at: Any = part
    for key in keys[:-1]:
        at = _entered(at, key, path)
    if isinstance(at, list):
        rows = cast("list[object]", at)
        rows[_place(rows, keys[-1], path)] = value
    elif isinstance(at, dict):
        cast("Content", at)[keys[-1]] = value
    else:
        raise _no_place(path, keys[-1])


def value_at(part: Content, keys: Sequence[str]) -> Value | None:
    """The setting that a part has there; None where it has none, or no plain value."""
    at: Any = part
    for key in keys:
        if isinstance(at, list) and key.isdecimal():
            rows = cast("list[object]", at)
            at = rows[int(key)] if int(key) < len(rows) else None
        else:
            at = cast("Content", at).get(key) if isinstance(at, dict) else None
    return at if isinstance(at, str | int | float) else None


def _entered(at: object, key: str, path: str) -> object:
    if isinstance(at, list):
        rows = cast("list[object]", at)
        return rows[_place(rows, key, path)]
    if not isinstance(at, dict):
        raise _no_place(path, key)
    return cast("Content", at).setdefault(key, {})


def _place(at: Sequence[object], key: str, path: str) -> int:
    if key.isdecimal() and len(key) <= _DIGITS and int(key) < len(at):
        return int(key)
    raise _no_place(path, key)


def _no_place(path: str, key: str) -> SettingKeyError:
    return SettingKeyError(f"{path}: {key!r} leads nowhere in the part")


def read_key(key: str, sections: Collection[str]) -> SettingKey:
    """The setting that a key names; the places in a mix that is a list are those of its rules.

    Raises:
        SettingKeyError: It has fewer than three parts, or the first is none of the sections.
    """
    section, name, *rest = (*key.split("."), "", "")
    keys: list[str] = [one for one in rest if one]
    if section not in sections or not name or not keys:
        msg = (
            f"{key}: write SECTION.NAME.SETTING, as mixes.best.rules.0.where.top; sections "
            f"are {', '.join(sections)}"
        )
        raise SettingKeyError(msg)
    if section == "mixes" and keys[0].isdecimal():
        keys.insert(0, "rules")
    return SettingKey(section, name, tuple(keys))
