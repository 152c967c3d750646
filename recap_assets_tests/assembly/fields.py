"""Which assets each field of an experiment decides, found by changing every field by itself.

`python -m recap_assets_tests.assembly.fields` writes the snapshot anew.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from recap_assets.assembly.graph import build_graph
from recap_assets.graph.project import Project
from recap_assets.specs.base import Spec, marks_of
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.fields import AnyMark, Mark
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.assembly.decisions import VARIANTS, every_kind

SNAPSHOT = Path(__file__).with_name("fields.json")
SECTIONS = {"torchrun": "training", "two stages": "training", "search": "searches"}
"""What a variant is looked at for; the others are for their pools."""

SOURCES = ("raw", "small")
"""Names that mean something wherever a source is named."""

Versions = Mapping[str, tuple[str, tuple[str, ...]]]
"""Of each asset its code version, and what it reads."""


@dataclass(frozen=True)
class Field:
    """One field of a spec that an experiment has.

    Attributes:
        path: Names of fields, keys and places in lists, from the experiment's own.
        spec: The spec.
        name: The field.
    """

    path: tuple[str | int, ...]
    spec: Spec
    name: str

    @property
    def kind(self) -> str:
        """Class and field, the same for all specs of a class."""
        return f"{type(self.spec).__name__}.{self.name}"

    @property
    def mark(self) -> AnyMark | None:
        """What the field says that it is."""
        return marks_of(type(self.spec)).get(self.name)

    @property
    def others(self) -> Iterator[object]:
        """Values that it might have instead."""
        info = type(self.spec).model_fields[self.name]
        return _others(getattr(self.spec, self.name), info.annotation)


def fields_of(experiment: Experiment, variant: str = "") -> list[Field]:
    """Every field of every spec; of a variant those of the section that it is there for."""
    found = list(_walk((), experiment))
    if not variant:
        return found
    section = SECTIONS.get(variant, "pool")
    return [field for field in found if field.path[0] == section]


def _walk(path: tuple[str | int, ...], value: object) -> Iterator[Field]:
    if isinstance(value, Spec):
        for name in type(value).model_fields:
            yield Field((*path, name), value, name)
            yield from _walk((*path, name), getattr(value, name))
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _walk((*path, name), part)
    elif isinstance(value, tuple):
        for number, part in enumerate(value):
            yield from _walk((*path, number), part)


def _others(value: object, annotation: Any) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, Spec) or (isinstance(value, Mapping) and not _is_plain(value)):
        return
    elif isinstance(value, str):
        yield from (word for word in _words(annotation) if word != value)
        yield from () if _words(annotation) else _names(value)
    elif isinstance(value, tuple):
        yield from () if any(isinstance(part, Spec) for part in value) else _tuples(value)
    elif isinstance(value, Mapping):
        yield {name: _next(part) for name, part in value.items()} or {"more": 1}
    elif value is None:
        yield from _of_nothing(annotation)


def _names(value: str) -> Iterator[str]:
    yield from (name for name in (f"{value}_other", *SOURCES) if name != value)


def _tuples(value: tuple[object, ...]) -> Iterator[tuple[object, ...]]:
    yield from (value[1:], (*value, 1)) if value else ((1,), ("raw",))


def _is_plain(value: Mapping[str, object]) -> bool:
    return not any(isinstance(part, Spec) for part in value.values())


def _next(value: object) -> object:
    return value + 1 if isinstance(value, int | float) else f"{value}_other"


def _words(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [word for word in get_args(annotation) if isinstance(word, str)]
    return [word for part in get_args(annotation) for word in _words(part)]


def _of_nothing(annotation: Any) -> Iterator[object]:
    yield from _words(annotation)
    for part in get_args(annotation):
        if isinstance(part, type) and issubclass(part, int | float):
            yield part(1)
        elif part is str or (get_origin(part) is not None and str in get_args(part)):
            yield "other"


def changed(value: Any, path: tuple[str | int, ...], new: object) -> Any:
    """A copy with another value at a path; nothing is checked, as a file's would be."""
    if not path:
        return new
    first, *rest = path
    if isinstance(value, Spec):
        inner = changed(getattr(value, str(first)), tuple(rest), new)
        return value.model_copy(update={str(first): inner})
    if isinstance(value, Mapping):
        return {**value, first: changed(value[str(first)], tuple(rest), new)}
    place = int(first)
    return (*value[:place], changed(value[place], tuple(rest), new), *value[place + 1 :])


def versions(experiment: Experiment, folder: Path) -> Versions:
    """Code version and reads of every asset."""
    graph = build_graph(Project(experiment, Workspace(folder, experiment.name)))
    return {
        node.key: (node.code_version, tuple(sorted(dep.asset for dep in node.dependencies)))
        for node in graph.nodes.values()
    }


def moved(before: Versions, after: Versions) -> list[str]:
    """Assets whose version or reads differ; those that came or went are told as such."""
    both = [key for key in before if key in after and before[key] != after[key]]
    gone = [f"-{key}" for key in before if key not in after]
    new = [f"+{key}" for key in after if key not in before]
    return sorted([*both, *gone, *new])


def decided(
    experiment: Experiment, before: Versions, field: Field, folder: Path
) -> list[str] | None:
    """The assets that another value of a field makes anew; None where no other value can be had."""
    for other in field.others:
        try:
            after = versions(changed(experiment, field.path, other), folder)
        except (KeyError, ValueError, StopIteration, AttributeError, TypeError):
            continue  # a name of nothing, or a value that means nothing there
        return moved(before, after)
    return None


def snapshot(folder: Path) -> dict[str, str]:
    """For each field of each kind the first place where it decides anything, and what.

    A field with a mark has the mark's name; one that decides nothing an empty text.
    """
    found: dict[str, str] = {}
    for variant, experiment in zip(("", *VARIANTS), every_kind(), strict=True):
        before = versions(experiment, folder)
        for field in fields_of(experiment, variant):
            name = f"{field.path[0]}: {field.kind}"
            if isinstance(field.mark, Mark):
                found[name] = field.mark.name.lower()
            elif not found.get(name):
                assets = decided(experiment, before, field, folder)
                if assets is not None:
                    where = ".".join(map(str, field.path))
                    found[name] = f"{where} -> {', '.join(assets)}" if assets else ""
    return dict(sorted(found.items()))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        SNAPSHOT.write_text(json.dumps(snapshot(Path(scratch)), indent=1) + "\n")
