"""What every spec shares: frozen, no unknown keys, a canonical form and a hash of it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from recap_assets.specs.fields import AnyMark, Content, Mark
from recap_assets.specs.references import Reference

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A name of the user's; it becomes part of asset keys and paths."""


class Spec(BaseModel):
    """A frozen piece of an experiment that refuses what it does not know."""

    family: ClassVar[str] = ""
    """What another package's class is a kind of, which its registration says."""

    distribution: ClassVar[str | None] = None
    """The distribution that gives a kind, which its registration says; None for our own."""

    distribution_version: ClassVar[str] = ""
    """The distribution's version: part of the provenance, and not of what decides."""

    gives: ClassVar[frozenset[str]] = frozenset()
    """Of a kind: what not all of its family give, by the names that a `Reference` asks for."""

    extra: ClassVar[str] = ""
    """Of a kind that needs more than its distribution installs: the extra that has it."""

    installed_by: ClassVar[str] = ""
    """Of a kind that needs what no extra has: the command that installs it."""

    example: ClassVar[str] = ""
    """Of a kind: how it may be written, in YAML, for the file of `recap init`. In a section of
    named parts with a name of its own."""

    implementation: ClassVar[int] = 1
    """Of another package's kind: raised by hand when it gives another result."""

    # Built where one is checked: an experiment builds what it holds at once, and most specs are
    # never checked by themselves. Kinds are imported by then, and may import what imports this.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _spell_truth_for_a_number(cls, given: object) -> object:
        """To pydantic `true` is the number 1; to whoever wrote it, it is a slip, and refused."""
        if not isinstance(given, dict):
            return given
        values = cast(dict[str, object], given)
        slips = (n for n, v in values.items() if isinstance(v, bool) and _wants_a_number(cls, n))
        return values | {name: str(values[name]).lower() for name in slips}

    @property
    def word(self) -> str:
        """Of a kind: the word that names it."""
        return word_of(type(self))

    def refers(self) -> Iterator[Reference]:
        """The parts of the experiment that it names, those that its own parts name included."""
        for name, part, _ in _parts(self):
            yield from _references_within(str(name), part)

    def at_default(self, *names: str) -> Self:
        """A copy with these fields at their defaults: for what changes no result."""
        fields = type(self).model_fields
        return self.model_copy(update={name: fields[name].default for name in names})

    def decides(self, *elsewhere: str) -> Mapping[str, object]:
        """The fields that decide a result, as JSON values; see `specs.fields`.

        Of files and folders the content decides, which `contents` names, and no field.

        Args:
            elsewhere: Fields that decide something else than what is asked about.
        """
        beside = {**_beside(self), **dict.fromkeys(elsewhere, True)}
        dumped = self.model_dump(mode="json", exclude=cast("dict[str, bool]", beside))
        _name_givers(self, dumped)
        return dumped

    @property
    def implemented_by(self) -> Mapping[str, object]:
        """Of a kind of another package what decides beside its fields; empty for our own."""
        if self.distribution is None:
            return {}
        return {"distribution": self.distribution, "implementation": self.implementation}

    @property
    def given_by(self) -> Mapping[str, str]:
        """For the provenance: the distributions that give its kinds; empty for our own."""
        givers = sorted(set(self.givers().values()))
        return {"recap.kind": ", ".join(givers)} if givers else {}

    def givers(self) -> Mapping[str, str]:
        """Distribution and version of each kind of another package, by `family.word`."""
        return dict(_givers_within(self))

    def decides_beyond_default(self, *names: str) -> Mapping[str, object]:
        """Those of the fields that are not at their defaults: what was built without them stays."""
        dumped = self.model_dump(mode="json", include=set(names), exclude_defaults=True)
        return {name: value for name, value in dumped.items() if value != {}}

    def contents(self) -> Mapping[str, Path]:
        """The files and folders whose bytes decide, by the dotted name of their field."""
        return dict(_contents_within("", self))

    def public(self) -> dict[str, object]:
        """For a card: what decides, what is short for it, and the last part of each place."""
        kept = {field for field, mark in marks_of(type(self)).items() if mark is Mark.SHORTHAND}
        beside = {name: out for name, out in _beside(self).items() if name not in kept}
        dumped = self.model_dump(
            mode="json", exclude=cast("dict[str, bool]", beside), exclude_none=True
        )
        return {
            **dumped,
            **{name: at.name for name, at in self.contents().items() if "." not in name},
        }

    def canonical(self) -> str:
        """The spec as JSON with sorted keys: the same for any order, spacing or comments."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


@cache
def word_of(spec: type[Spec]) -> str:
    """The word that names a kind: the one value of its `kind`, `to` or `launcher`.

    Where it has no such field, the name of its first one, as in `{top: 0.3}`; "" without any.
    """
    for name in ("kind", "to", "launcher"):
        field = spec.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is Literal:
            words = get_args(field.annotation)
            return str(words[0]) if len(words) == 1 else ""
    return next(iter(spec.model_fields), "")


@cache
def marks_of(spec: type[Spec]) -> Mapping[str, AnyMark]:
    """The mark of each field that has one."""
    found: dict[str, AnyMark] = {}
    for name, field in spec.model_fields.items():
        found.update((name, one) for one in field.metadata if isinstance(one, Mark | Content))
    return found


def _references_within(where: str, value: object) -> Iterator[Reference]:
    if isinstance(value, Spec):
        for one in value.refers():
            yield replace(one, field=f"{where}.{one.field}".removesuffix("."))
        return
    for name, part, _ in _parts(value):
        yield from _references_within(f"{where}.{name}", part)


def _givers_within(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Spec) and value.distribution is not None:
        yield f"{value.family}.{value.word}", f"{value.distribution} {value.distribution_version}"
    for _, part, _ in _parts(value):
        yield from _givers_within(part)


def _name_givers(value: object, dumped: object) -> None:
    """Say in a spec's JSON values which distribution gives each kind that is not ours."""
    for name, part, _ in _parts(value):
        if isinstance(dumped, dict) and name in dumped:
            _name_givers(part, cast("dict[str | int, object]", dumped)[name])
        elif isinstance(dumped, list) and isinstance(name, int):
            _name_givers(part, cast("list[object]", dumped)[name])
    if isinstance(value, Spec) and value.distribution is not None and isinstance(dumped, dict):
        cast("dict[str, object]", dumped).update(value.implemented_by)


def _beside(value: object) -> Mapping[str | int, object]:
    """What of a value decides nothing, in the form of pydantic's `exclude`."""
    found: dict[str | int, object] = {}
    for name, part, mark in _parts(value):
        if isinstance(mark, Mark) or (mark is not None and mark.place(part) is not None):
            found[name] = True
        elif inner := _beside(part):
            found[name] = inner
    return found


def _contents_within(where: str, value: object) -> Iterator[tuple[str, Path]]:
    for name, part, mark in _parts(value):
        if isinstance(mark, Content) and (place := mark.place(part)) is not None:
            yield f"{where}{name}", place
        else:
            yield from _contents_within(f"{where}{name}.", part)


def _parts(value: object) -> Iterator[tuple[str | int, object, AnyMark | None]]:
    """Fields, entries or elements, whatever the value has; fields with their marks."""
    if isinstance(value, Spec):
        marks = marks_of(type(value))
        for name in type(value).model_fields:
            yield name, getattr(value, name), marks.get(name)
    elif isinstance(value, Mapping):
        for name, part in cast("Mapping[str, object]", value).items():
            yield name, part, None
    elif isinstance(value, tuple | list):
        for number, part in enumerate(cast("Sequence[object]", value)):
            yield number, part, None


@cache
def _wants_a_number(spec: type[Spec], field: str) -> bool:
    if field not in spec.model_fields:
        return False
    todo = [spec.model_fields[field].annotation]
    named: list[object] = []
    while todo:
        at = todo.pop()
        named.append(at)
        todo.extend(get_args(at))
    return (int in named or float in named) and bool not in named


def deciding(
    **parts: object,
) -> str:
    """What decides a node's content as canonical JSON: what is at its default is said as well."""
    values = {
        name: part.decides() if isinstance(part, Spec) else part for name, part in parts.items()
    }
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def fingerprint_of(*parts: Spec | str | int | float | bool | None) -> str:
    """16 hex digits over the canonical forms of `parts`, in the order given."""
    digest = hashlib.sha256()
    for part in parts:
        text = part.canonical() if isinstance(part, Spec) else json.dumps(part)
        digest.update(len(text).to_bytes(8, "little"))
        digest.update(text.encode())
    return digest.hexdigest()[:16]
