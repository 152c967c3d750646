"""The graph of an experiment, all stages together."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

from recap_assets.specs.base import Spec
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.kinds import OneOf, kinds_of
from recap_assets_tests.assembly.decisions import SNAPSHOT, decisions, every_kind
from recap_assets_tests.assembly.picture import DRAWING, PAGE, picture


def test_what_decides_each_asset_is_what_was_reviewed(tmp_path: Path) -> None:
    message = "some assets would be built anew, or read others: see what, note it in CHANGELOG.md, "
    message += "then run python -m recap_assets_tests.assembly.decisions"
    assert decisions(tmp_path) == SNAPSHOT.read_text(), message


def test_the_snapshot_has_every_kind() -> None:
    """What is in no experiment of the snapshot could come to decide something unseen."""
    used = {type(part) for one in every_kind() for part in _parts(one)}
    assert _declared(Experiment) - used == set()


def _parts(value: object) -> Iterator[Spec]:
    if isinstance(value, Spec):
        yield value
        value = [getattr(value, name) for name in type(value).model_fields]
    if isinstance(value, dict):
        value = list(value.values())
    for part in value if isinstance(value, list | tuple) else ():
        yield from _parts(part)


def _declared(spec: type[Spec]) -> set[type[Spec]]:
    """The spec and all that its fields may hold."""
    found: set[type[Spec]] = set()
    waiting: list[object] = [spec]
    while waiting:
        one = waiting.pop()
        if families := [part.family for part in get_args(one) if isinstance(part, OneOf)]:
            waiting += [kind.spec for family in families for kind in kinds_of(family).values()]
            continue
        if isinstance(one, type) and issubclass(one, Spec) and one not in found:
            found.add(one)
            waiting += get_type_hints(one, include_extras=True).values()
        waiting += get_args(one)
    return found


def test_the_picture_in_the_docs_is_that_of_the_graph(tmp_path: Path) -> None:
    found = DRAWING.search(PAGE.read_text())
    assert found is not None
    message = "the graph changed: python -m recap_assets_tests.assembly.picture draws it anew"
    assert found[0] == picture(tmp_path), message
