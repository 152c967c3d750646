"""Places that an experiment file names: relative ones are below the file's own folder."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

from recap_assets.specs.base import Spec, marks_of
from recap_assets.specs.fields import Address, AnyMark, Content

T = TypeVar("T", bound=Spec)


def located(spec: T, folder: Path, given: Collection[str] = (), here: str = "") -> T:
    """A spec whose relative places are absolute.

    Args:
        spec: As it is written.
        folder: What its relative places are below.
        given: Dotted keys of what was given elsewhere, which is below the working folder.
        here: The spec's own key.
    """
    marks = marks_of(type(spec))
    changed: dict[str, object] = {}
    for name in type(spec).model_fields:
        value: object = getattr(spec, name)
        at = f"{here}.{name}" if here else name
        new = _located(value, marks.get(name), folder, given, at)
        if new is not value:
            changed[name] = new
    return spec.model_copy(update=changed) if changed else spec


def _located(
    value: object, mark: AnyMark | None, folder: Path, given: Collection[str], at: str
) -> object:
    folder = Path.cwd() if at in given else folder
    if isinstance(value, str):
        return _placed(value, mark, folder)
    if isinstance(value, Spec):
        return located(value, folder, given, at)
    if isinstance(value, Mapping):
        parts = cast("Mapping[str, object]", value)
        new = {k: _located(one, mark, folder, given, f"{at}.{k}") for k, one in parts.items()}
        return new if any(new[k] is not parts[k] for k in parts) else parts
    if isinstance(value, tuple):
        several = cast("Sequence[object]", value)
        made = [_located(one, mark, folder, given, f"{at}.{i}") for i, one in enumerate(several)]
        same = all(a is b for a, b in zip(made, several, strict=True))
        return several if same else tuple(made)
    return value


def _placed(value: str, mark: AnyMark | None, folder: Path) -> str:
    """A place below the folder; what is no relative path of this machine stays."""
    prefix = mark.prefix if isinstance(mark, Content) else ""
    if not _is_relative(value.removeprefix(prefix)):
        return value
    if mark is Address:
        return _plain(folder / value)
    place = mark.place(value, folder) if isinstance(mark, Content) else None
    return value if place is None else f"{prefix}{_plain(place)}"


def _plain(place: Path) -> str:
    """The place without `..`; with it where a link on the way makes that another place."""
    if ".." not in place.parts:
        return str(place)
    plain = os.path.normpath(place)
    try:
        return plain if os.path.realpath(plain) == os.path.realpath(place) else str(place)
    except ValueError:
        return str(place)  # no path has a NUL, and whoever opens this one says so


def _is_relative(path: str) -> bool:
    return bool(path) and path[0] not in "/~" and "://" not in path
