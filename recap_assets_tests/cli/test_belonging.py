"""Results belong to the file that built them; no other file takes them unasked."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from recap_assets.cli.belonging import TakenError, other_file, take
from recap_assets.defs.session import Session
from recap_assets.specs.loading import DEMO, default_experiment
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.tiny import EXPERIMENT

Written = Callable[..., Path]


@pytest.fixture
def first(written: Written, recap: Recap) -> Path:  # noqa: ARG001 - the folder of its own
    return written().rename(written().with_name("first.yaml"))


def other_of(first: Path, name: str) -> Path:
    path = first.with_name(name)
    path.write_text(yaml.safe_dump({**EXPERIMENT, "seed": 77}))
    return path


def test_another_file_of_the_same_name_is_refused_until_it_says_so(first: Path) -> None:
    other = other_of(first, "other.yaml")
    take(Session(first), anyway=False)
    take(Session(first), anyway=False)
    with pytest.raises(TakenError, match=f"are those of {first}.*--take-over"):
        take(Session(other), anyway=False)
    take(Session(other), anyway=True)
    assert other_file(Session(first)) == other.absolute()
    assert other_file(Session(other)) is None


def test_a_copy_and_a_file_that_was_moved_are_no_other(first: Path) -> None:
    take(Session(first), anyway=False)
    copy = first.with_name("copy.yaml")
    copy.write_text(f"# a comment\n{first.read_text()}")
    assert other_file(Session(copy)) is None
    moved = other_of(first, "moved.yaml")
    first.unlink()
    assert other_file(Session(moved)) is None


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"path": 3}'])
def test_a_damaged_mark_says_nothing(first: Path, content: str) -> None:
    session = Session(other_of(first, "other.yaml"))
    take(Session(first), anyway=False)
    session.project.workspace.built_from.write_text(content)
    assert other_file(session) is None


def test_the_own_file_comes_before_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Path, recap: Recap
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_experiment() == DEMO
    (tmp_path / "experiment.yaml").write_text(first.read_text())
    assert "tiny (experiment.yaml): " in recap("plan").output
    named = recap("--experiment", DEMO, "plan").output
    assert "demo (the shipped demo; -e names another file): " in named
