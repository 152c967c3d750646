"""The experiment that is meant where none is named."""

from pathlib import Path

import pytest

from recap_assets.specs.found import default_experiment, named_experiment
from recap_assets.specs.loading import DEMO, ExperimentError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pyproject(text: str) -> None:
    Path("pyproject.toml").write_text(text)


def test_the_own_file_comes_before_that_of_pyproject() -> None:
    pyproject('[tool.recap]\nexperiment = "mine/one.yaml"\n')
    assert default_experiment() == Path("mine/one.yaml")
    Path("experiment.yaml").write_text("")
    assert default_experiment() == Path("experiment.yaml")


def test_an_empty_folder_has_the_demo_also_after_it_was_built(here: Path) -> None:
    assert default_experiment() == DEMO
    (here / "data").mkdir()
    (here / ".git").mkdir()
    assert default_experiment() == DEMO


def test_among_other_files_the_demo_is_taken_only_when_it_is_named(here: Path) -> None:
    (here / "other.yaml").write_text("")
    with pytest.raises(ExperimentError, match=r"no experiment in .*recap init.*-e demo"):
        default_experiment()
    assert named_experiment(Path("demo")) == DEMO
    assert named_experiment(Path("smoke")) == DEMO.with_name("smoke.yaml")
    (here / "demo").write_text("")
    assert named_experiment(Path("demo")) == Path("demo")


def test_a_pyproject_without_a_word_of_recap_names_none() -> None:
    pyproject("[project]\nname = 'x'\n")
    with pytest.raises(ExperimentError, match="no experiment"):
        default_experiment()


@pytest.mark.parametrize(
    "text",
    [
        "[tool.recap", "tool.recap = 3", "[tool.recap]\nexperiments = 'a'",
        "[tool.recap]\nexperiment = 3", "[tool]\nrecap = []\nx = '\\0'", "tool = 1",
    ],
)  # fmt: skip
def test_a_pyproject_that_cannot_be_used_is_named(text: str) -> None:
    pyproject(text)
    with pytest.raises(ExperimentError, match=r"pyproject\.toml|no experiment"):
        default_experiment()


def test_pyproject_may_name_the_demo() -> None:
    pyproject("[tool.recap]\nexperiment = 'demo'\n")
    assert default_experiment() == DEMO
