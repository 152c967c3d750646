"""What a shell completes: the names that the experiment of the line has."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from recap_assets.cli.main import recap as whole
from recap_assets_tests.cli.running import Recap

Written = Callable[..., Path]


def completed(words: list[str], begun: str) -> list[str]:
    shell = ShellComplete(whole, {}, "recap", "_RECAP_COMPLETE")
    return [one.value for one in shell.get_completions(words, begun)]


@pytest.mark.parametrize(
    ("words", "begun", "names"),
    [
        (["lineage"], "curated_mixes/raw", ["curated_mixes/raw", "curated_mixes/raw_top30"]),
        (["pin"], "clip_s", ["clip_scores/clip/raw", "clip_scores/clip/a"]),
        (["plan", "--why"], "trained_clip/m", ["trained_clip/mixed"]),
        (["build", "-s"], "raw_p", ["raw_pool"]),
        (["verify"], "scor", ["models/scorer"]),
        (["diff"], "raw", ["raw", "raw_top30"]),
        (["diff", "raw"], "m", ["mixed"]),
        (["lineage", "--mix"], "mi", ["mixed"]),
        (["export"], "raw_", ["raw_top30"]),
        (["recipes", "show"], "datacomp_no", ["datacomp_no_filter"]),
    ],
    ids=str,
)
def test_names_are_completed(
    recap: Recap,  # noqa: ARG001 - the folder of its own
    written: Written,
    tmp_path: Path,
    words: list[str],
    begun: str,
    names: list[str],
) -> None:
    assert completed(["-e", str(written()), *words], begun) == names
    assert not (tmp_path / "data").exists()


def test_the_file_may_be_named_after_the_command(recap: Recap, written: Written) -> None:  # noqa: ARG001
    assert completed(["diff", "-e", str(written())], "mi") == ["mixed"]


@pytest.mark.parametrize("command", ["lineage", "diff"])
def test_a_file_that_is_wrong_completes_nothing(
    recap: Recap,  # noqa: ARG001
    tmp_path: Path,
    command: str,
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("name: [")
    assert completed(["-e", str(path), command], "") == []
