"""`recap diff` on the terminal."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recap_assets.graph.project import Project
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.mixes.written_mixes import (
    MIXES,
    SCORERS,
    build_mixes,
    built_pool,
    uid_of,
    write_captions,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return built_pool(tmp_path_factory.mktemp("built"))


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    """A copy for one test, where the fixture `recap` looks."""
    shutil.copytree(built.workspace.data, tmp_path / "data")
    return Project(built.experiment, Workspace(tmp_path / "data", built.experiment.name))


@pytest.fixture
def experiment(written: Callable[..., Path]) -> Path:
    none = {"raw": None, "raw_filtered": None, "mixed": [], "examples": 3}
    return written(scorers=SCORERS, mixes=MIXES, report=none)


@pytest.mark.usefixtures("project")
def test_counts_scores_diversity_and_samples_are_shown(
    recap: Recap, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    done = recap("--experiment", experiment, "diff", "raw_top30", "both", "--rows", "2")
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 100
    for words in (
        "pairs of raw", "the same in both", "with another text", "all, before", "changed, after",
        "Distinct trigrams in 16 pairs of each", "2 of 38 images added",
    ):  # fmt: skip
        assert words in done.output


@pytest.mark.usefixtures("project")
def test_scores_of_two_scorers_are_not_to_be_compared(recap: Recap, experiment: Path) -> None:
    warned = recap("--experiment", experiment, "diff", "raw", "half").output
    assert "two scorers (raw by clip, half by other): do not compare them" in warned
    assert "two scorers" not in recap("--experiment", experiment, "diff", "raw", "mixed").output


def test_hostile_captions_stay_text(recap: Recap, experiment: Path, project: Project) -> None:
    write_captions(project.workspace.tables, "00000", {i: f"[bold]\x1b[1A{i}" for i in range(18)})
    build_mixes(project, ["both"])
    out = recap("--experiment", experiment, "diff", "raw", "both", "--rows", "20").output
    assert "\x1b" not in out
    assert "[bold]\\x1b[1A3" in out
    assert "\\x1b[2J[red]bold[/] \\u202eevil <script>" in out


@pytest.mark.usefixtures("project")
def test_json_is_one_object(recap: Recap, experiment: Path) -> None:
    done = recap("--experiment", experiment, "diff", "raw_top30", "mixed", "--json", "--rows", "0")
    told = json.loads(done.output)
    assert told["images"]["added"] == 38
    assert told["samples"] == []
    again = recap("--experiment", experiment, "diff", "raw_top30", "mixed", "--json", "--rows", "0")
    assert again.output == done.output


@pytest.mark.usefixtures("project")
def test_a_mix_is_named_alone_or_by_the_key_of_its_asset(recap: Recap, experiment: Path) -> None:
    alone = recap("--experiment", experiment, "diff", "raw_top30", "mixed", "--json").output
    keys = ("curated_mixes/raw_top30", "curated_mixes/mixed")
    assert recap("--experiment", experiment, "diff", *keys, "--json").output == alone


@pytest.mark.usefixtures("project")
def test_a_mix_that_is_not_there_is_told_in_words(recap: Recap, experiment: Path) -> None:
    done = recap("--experiment", experiment, "diff", "nope", "raw")
    assert done.exit_code == 1
    assert "there are both, half, mixed, raw, raw_top30" in done.output


def test_versions_of_one_mix(recap: Recap, experiment: Path, project: Project) -> None:
    write_captions(project.workspace.tables, "00001", {i: f"new {i}" for i in range(20, 38)})
    build_mixes(project, ["both"])
    out = recap("--experiment", experiment, "diff", "both@15", "both@18", "--rows", "18").output
    assert "18 of 18 images with another text" in out
    assert uid_of(20).hex() in out
    assert "+ a" in out
    assert ": new 20" in out
