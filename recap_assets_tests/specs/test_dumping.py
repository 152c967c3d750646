"""Specs as JSON values, in a process that has dumped none before: classes are built late."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from recap_assets.specs.base import Spec
from recap_assets_tests.assembly.decisions import every_kind

PROGRAM = """
import json
from recap_assets_tests.specs import test_dumping
print(json.dumps(test_dumping.unlike()))
"""


def test_every_kind_is_dumped_alike_by_itself_and_by_the_experiment() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - words of this file
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def unlike() -> list[str]:
    """The places of all kinds that an experiment dumps as something else than they do."""
    found: list[str] = []
    for experiment in every_kind():
        # The innermost come first, so that nothing that holds a part has dumped it before.
        alone = [(at, part.model_dump(mode="json")) for at, part in parts((), experiment)]
        assert len(alone) > 100, "an experiment holds specs that hold specs"
        whole = experiment.model_dump(mode="json")
        found += [".".join(map(str, at)) for at, dumped in alone if within(whole, at) != dumped]
    return found


def parts(at: tuple[str | int, ...], value: object) -> Iterator[tuple[tuple[str | int, ...], Spec]]:
    """Every spec of an experiment with its place, those that it holds before it."""
    inner: Mapping[Any, object] = {}
    if isinstance(value, Spec):
        fields = type(value).model_fields.items()
        given = {name: (getattr(value, name), field.exclude_if) for name, field in fields}
        # What a file without the field has is not written.
        inner = {n: part for n, (part, is_out) in given.items() if not (is_out and is_out(part))}
    elif isinstance(value, Mapping):
        inner = value
    elif isinstance(value, list | tuple):
        inner = dict(enumerate(value))
    for name, part in inner.items():
        yield from parts((*at, name), part)
    if isinstance(value, Spec):
        yield at, value


def within(dumped: Any, at: tuple[str | int, ...]) -> object:
    for name in at:
        dumped = dumped[name]
    return dumped
