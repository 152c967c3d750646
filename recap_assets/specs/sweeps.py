"""Sweeps: a part of an experiment again for each value of one of its settings.

`sweep: {mixes.best.rules.0.where.top: [0.1, 0.2]}` adds the mixes `best_top_0_1` and
`best_top_0_2`. What refers to the part is added again, too, and what refers to that, up to the
mixes: `sweep: {sources.a.decoding.temperature: [0.5, 1.0]}` adds two sources, and each mix that
uses `a` once for each. The parts as they are written stay.

Several settings of a part that take each value together are joined by commas. A mapping with
`values` and `only` varies, of the mixes that use the part, only those that it names.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from recap_assets.specs.base import Spec
from recap_assets.specs.references import Reference
from recap_assets.specs.setting_keys import Content, SettingKeyError, Value, set_at

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

Part = tuple[str, str]
"""Section and name."""


class SweepError(ValueError):
    """A sweep does not fit the experiment. The text begins with its key."""


@dataclass(frozen=True)
class Sweep:
    """One varied setting.

    Attributes:
        path: The key of the sweep, as it is written.
        section: The part's section.
        name: The part's name.
        settings: The keys of each setting within the part; all take the same value.
        values: What they take.
        only: The mixes that are varied of those that use the part; None for all.
    """

    path: str
    section: str
    name: str
    settings: tuple[tuple[str, ...], ...]
    values: tuple[Value, ...]
    only: tuple[str, ...] | None = None

    @property
    def setting(self) -> str:
        """What is varied, in a word: the last key that is no number."""
        keys = self.settings[0]
        return next((key for key in reversed(keys) if not key.isdecimal()), keys[-1])

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
            try:
                for keys in sweep.settings:
                    set_at(at, keys, value, sweep.path)
            except SettingKeyError as error:
                msg = f"sweep.{error}"
                raise SweepError(msg) from error

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
        return [part for part in reached[1:] if _is_meant(part, sweep)]

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
        for name in sweep.only or ():
            if name not in full["mixes"]:
                msg = f"sweep.{sweep.path}.only: mixes has no {name!r}"
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


def _read(key: str, given: object) -> Sweep:
    first, *others = (one.strip() for one in key.split(","))
    section, name, *rest = (*first.split("."), "", "")
    settings = [[one for one in rest if one], *(one.split(".") for one in others)]
    if section not in SECTIONS or not name or not all(map(all, settings)) or not settings[0]:
        msg = (
            f"sweep.{key}: write SECTION.NAME.SETTING, as mixes.best.rules.0.where.top; sections "
            f"are {', '.join(SECTIONS)}"
        )
        raise SweepError(msg)
    rules = ["rules"] if section == "mixes" else []
    keys = [tuple(rules + one if one[0].isdecimal() else one) for one in settings]
    values, only = _values(key, given)
    return Sweep(key, section, name, tuple(keys), values, only)


def _values(key: str, given: object) -> tuple[tuple[Value, ...], tuple[str, ...] | None]:
    only: object = None
    if isinstance(given, dict):
        mapping = cast("Content", given)
        if unknown := set(mapping) - {"values", "only"}:
            msg = f"sweep.{key}: unknown key {min(unknown)!r}; there are values and only"
            raise SweepError(msg)
        given, only = mapping.get("values"), mapping.get("only")
    found = _listed(key, given)
    if wrong := [one for one in found if not isinstance(one, str | int | float | bool)]:
        msg = f"sweep.{key}: {wrong[0]!r} is no number and no word"
        raise SweepError(msg)
    if len(set(map(str, found))) < len(found):
        msg = f"sweep.{key}: a value is there twice"
        raise SweepError(msg)
    named = None if only is None else tuple(map(str, _listed(f"{key}.only", only)))
    return tuple(cast("Sequence[Value]", found)), named


def _listed(key: str, given: object) -> Sequence[object]:
    found = cast("list[object] | tuple[object, ...]", given)
    if not isinstance(given, list | tuple) or not 0 < len(found) <= MOST_VALUES:
        msg = f"sweep.{key}: write a list of 1 to {MOST_VALUES} values"
        raise SweepError(msg)
    return found


def _is_meant(part: Part, sweep: Sweep) -> bool:
    section, name = part
    return section != "mixes" or sweep.only is None or name in sweep.only


def _section(one: Reference) -> str:
    return SECTION_OF.get(one.section, one.section)


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
