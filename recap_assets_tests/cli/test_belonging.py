"""Results belong to the file that built them; no other file takes them unasked."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from recap_assets.cli.belonging import TakenError, other_file, take
from recap_assets.defs.session import Session
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


def test_every_plan_names_file_experiment_and_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Path, recap: Recap
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.yaml").write_text(first.read_text())
    shown = " ".join(recap("plan").output.split())
    assert f"tiny (experiment.yaml; data in {tmp_path}/data/tiny): " in shown
    named = " ".join(recap("--experiment", "demo", "plan").output.split())
    assert "demo (the shipped demo; -e names another file; data in " in named


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--json"), ("status", "--json"), ("build", "--dry-run"), ("mix", "try"),
        ("lineage", "raw_pool"), ("pin", "raw_pool", "a"), ("verify", "raw_pool"), ("imports",),
        ("diff", "raw", "raw_top30"), ("leaderboard",), ("gc", "--dry-run"), ("doctor",),
        ("export", "nothing"), ("reproduce", "raw_pool@a"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_the_file_is_named_before_a_command_or_after_it(
    recap: Recap, first: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other programs write meanwhile.
    free = shutil.disk_usage(first.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: free)
    one, other = recap("-e", first, *words), recap(*words, "-e", first)
    assert (other.exit_code, other.output) == (one.exit_code, one.output)
    assert str(other.exception) == str(one.exception)
    wrong = recap("-e", first.with_name("missing.yaml"), *words, "-e", first)
    assert wrong.output == one.output, "the one after the command counts"
