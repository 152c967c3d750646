"""Sweeps: a part of an experiment again for each value of one of its settings.

`sweep: {mixes.best.rules.0.where.top: [0.1, 0.2]}` adds the mixes `best_top_0_1` and
`best_top_0_2`. What refers to the part is added again, too, and what refers to that, up to the
mixes: `sweep: {sources.a.decoding.temperature: [0.5, 1.0]}` adds two sources, and each mix that
uses `a` once for each. The parts as they are written stay.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from recap_assets.specs.base import Spec
from recap_assets.specs.references import Reference

SECTIONS = (
    "corpora",
    "models",
    "languages",
    "sources",
    "scorers",
    "image_scorers",
    "sets",
    "mixes",
)
"""Sections whose parts can be varied, and are added again where they refer to a varied one."""

SECTION_OF = {"source_names": "sources", "identifiers": "languages"}
"""Where the parts of what a `Reference` calls a section are written."""

LONGEST_NAME = 64
MOST_VALUES = 100

Content = dict[str, Any]
Value = str | int | float | bool
Part = tuple[str, str]
"""Section and name."""


class SweepError(ValueError):
    """A sweep does not fit the experiment. The text begins with its key."""


@dataclass(frozen=True)
class Sweep:
    """One varied setting.

    Attributes:
        section: The part's section.
        name: The part's name.
        keys: The setting within the part.
        values: What it takes.
    """

    section: str
    name: str
    keys: tuple[str, ...]
    values: tuple[Value, ...]

    @property
    def path(self) -> str:
        """The key of the sweep."""
        return ".".join((self.section, self.name, *self.keys))

    @property
    def setting(self) -> str:
        """What is varied, in a word: the last key that is no number."""
        return next((key for key in reversed(self.keys) if not key.isdecimal()), self.keys[-1])

    def variant(self, name: str, value: Value) -> str:
        """The name of a part, the varied one or one that depends on it, at a value."""
        written = f"{value:g}" if isinstance(value, float) else str(value).lower()
        slug = re.sub(r"[^a-z0-9]+", "_", written.replace("-", "m")).strip("_")
        return f"{name}_{self.setting}_{slug}"


@dataclass
class Expansion:
    """An experiment's sections, to which variants are added.

    Attributes:
        content: The file's keys and values.
        parts: The same, checked: sections of named parts.
    """

    content: Content
    parts: Mapping[str, Mapping[str, Spec]]

    def vary(self, sweep: Sweep) -> None:
        """Add the variants of one sweep.

        Raises:
            SweepError: There is no such part or setting, or a name is taken or too long.
        """
        depending = self._depending(sweep)
        for value in sweep.values:
            renamed = {
                (section, name): sweep.variant(name, value)
                for section, name in [(sweep.section, sweep.name), *depending]
            }
            for (section, name), variant in renamed.items():
                self._add(sweep, section, name, variant, renamed)
            at = self.content[sweep.section][sweep.variant(sweep.name, value)]
            _set(at, sweep, value)

    def _depending(self, sweep: Sweep) -> list[Part]:
        """The parts that refer to the varied one, directly or by others."""
        named = {
            (section, name): {(_section(one), one.name) for one in part.refers()}
            for section in SECTIONS
            for name, part in self.parts[section].items()
            if name in self.content.get(section, {})
        }
        reached = [(sweep.section, sweep.name)]
        for at in reached:
            reached += [part for part, of in named.items() if at in of and part not in reached]
        return reached[1:]

    def _add(
        self,
        sweep: Sweep,
        section: str,
        name: str,
        variant: str,
        renamed: Mapping[Part, str],
    ) -> None:
        parts = cast("Content", self.content[section])
        if variant in parts:
            msg = f"sweep.{sweep.path}: {section} has a {variant!r} already; rename it"
            raise SweepError(msg)
        if len(variant) > LONGEST_NAME:
            msg = f"sweep.{sweep.path}: the name {variant!r} has more than {LONGEST_NAME} letters"
            raise SweepError(msg)
        written = copy.deepcopy(parts[name])
        made = cast("Content", _long_form(written))
        for one in self.parts[section][name].refers():
            if other := renamed.get((_section(one), one.name)):
                _rename(made, one.field.split("."), one.name, other)
        parts[variant] = made


def read_sweeps(given: object) -> list[Sweep]:
    """The sweeps of a file.

    Raises:
        SweepError: One is not a list of values under the key of a part's setting.
    """
    if not isinstance(given, dict):
        msg = "sweep: write the key of a setting, and the list of its values"
        raise SweepError(msg)
    return [_read(str(key), values) for key, values in cast("Content", given).items()]


def expanded(
    content: Content, parts: Mapping[str, Mapping[str, Spec]], sweeps: Sequence[Sweep]
) -> Content:
    """The experiment with the variants of its sweeps.

    Args:
        content: The file's keys and values.
        parts: The same, checked without the sweeps.
        sweeps: Each is varied by itself: there are no variants of variants.

    Raises:
        SweepError: One does not fit.
    """
    full = {**content, **{name: dict(content.get(name) or {}) for name in SECTIONS}}
    expansion = Expansion(full, parts)
    for sweep in sweeps:
        if sweep.name not in parts[sweep.section] or sweep.name not in full[sweep.section]:
            known = ", ".join(sorted(parts[sweep.section])) or "none"
            msg = f"sweep.{sweep.path}: {sweep.section} has no {sweep.name!r}; known are {known}"
            raise SweepError(msg)
        expansion.vary(sweep)
    return full


def with_scorers_named(content: Content) -> Content:
    """The same with a scorer in each mix: of several, the only one is the only one no more."""
    scorers, mixes = content.get("scorers"), content.get("mixes")
    if not isinstance(scorers, dict) or not isinstance(mixes, dict):
        return content
    names = list(cast("Content", scorers))
    if len(names) != 1:
        return content
    written = {name: _long_form(mix) for name, mix in cast("Content", mixes).items()}
    named = {
        name: {"scorer": names[0], **cast("Content", mix)} if isinstance(mix, dict) else mix
        for name, mix in written.items()
    }
    return {**content, "mixes": named}


def _long_form(mix: object) -> object:
    return {"rules": cast("list[object]", mix)} if isinstance(mix, list) else mix


def _read(key: str, values: object) -> Sweep:
    section, name, *rest = (*key.split("."), "", "")
    keys: list[str] = [one for one in rest if one]
    if section not in SECTIONS or not name or not keys:
        msg = (
            f"sweep.{key}: write SECTION.NAME.SETTING, as mixes.best.rules.0.where.top; sections "
            f"are {', '.join(SECTIONS)}"
        )
        raise SweepError(msg)
    if section == "mixes" and keys[0].isdecimal():
        keys.insert(0, "rules")
    if not isinstance(values, list) or not 0 < len(cast("list[object]", values)) <= MOST_VALUES:
        msg = f"sweep.{key}: write a list of 1 to {MOST_VALUES} values"
        raise SweepError(msg)
    found = cast("list[object]", values)
    if wrong := [one for one in found if not isinstance(one, str | int | float | bool)]:
        msg = f"sweep.{key}: {wrong[0]!r} is no number and no word"
        raise SweepError(msg)
    if len(set(map(str, found))) < len(found):
        msg = f"sweep.{key}: a value is there twice"
        raise SweepError(msg)
    return Sweep(section, name, tuple(keys), tuple(cast("list[Value]", found)))


def _section(one: Reference) -> str:
    return SECTION_OF.get(one.section, one.section)


def _set(part: Content, sweep: Sweep, value: Value) -> None:
    at: Any = part
    for key in sweep.keys[:-1]:
        at = _entered(at, key, sweep)
    if isinstance(at, list):
        rows = cast("list[object]", at)
        rows[_place(rows, sweep.keys[-1], sweep)] = value
    elif isinstance(at, dict):
        cast("Content", at)[sweep.keys[-1]] = value
    else:
        raise _no_place(sweep, sweep.keys[-1])


def _entered(at: object, key: str, sweep: Sweep) -> object:
    if isinstance(at, list):
        rows = cast("list[object]", at)
        return rows[_place(rows, key, sweep)]
    if not isinstance(at, dict):
        raise _no_place(sweep, key)
    return cast("Content", at).setdefault(key, {})


def _place(at: Sequence[object], key: str, sweep: Sweep) -> int:
    if key.isdecimal() and len(key) <= 6 and int(key) < len(at):
        return int(key)
    raise _no_place(sweep, key)


def _no_place(sweep: Sweep, key: str) -> SweepError:
    return SweepError(f"sweep.{sweep.path}: {key!r} leads nowhere in {sweep.section}.{sweep.name}")


def _rename(at: Any, keys: Sequence[str], name: str, variant: str) -> None:  # noqa: ANN401 - YAML
    """Write another name where a part refers to one, in whatever form that is written."""
    key: Any = int(keys[0]) if isinstance(at, list) and keys[0].isdecimal() else keys[0]
    inside: Any = cast("Any", at[key] if isinstance(at, list) else at.get(key))
    if len(keys) == 1 or isinstance(inside, str):
        at[key] = _with_name(inside, name, variant)
    elif inside is not None:
        _rename(inside, keys[1:], name, variant)


def _with_name(given: Any, name: str, variant: str) -> object:  # noqa: ANN401 - YAML
    if isinstance(given, str):
        return _renamed(given, name, variant)
    if isinstance(given, list):
        return [_with_name(one, name, variant) for one in cast("list[object]", given)]
    if isinstance(given, dict):
        renamed = {_renamed(key, name, variant): one for key, one in cast("Content", given).items()}
        # Only the long form of `use: NAME` has the name in a value.
        return {k: _renamed(v, name, variant) if k == "source" else v for k, v in renamed.items()}
    return given


def _renamed(text: str, name: str, variant: str) -> str:
    """A name, one in a column such as `clip.raw`, or one in braces in a longer text."""
    if f"{{{name}}}" in text:
        return text.replace(f"{{{name}}}", f"{{{variant}}}")
    return ".".join(variant if part == name else part for part in text.split("."))
