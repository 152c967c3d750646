"""The command line in this process, with data and records in a folder of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from recap_assets.cli import main
from recap_assets_tests.tiny import EXPERIMENT

REPOSITORY = Path(__file__).parents[2]
VARIABLES = ("RECAP_EXPERIMENT", "RECAP_SET", "RECAP_INSTANCE", "RECAP_DATA")


Recap = Callable[..., Result]
"""Runs `recap` with the given words; `answer` is what is typed."""


def set_environment(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let data lie in `folder`, and no experiment be named."""
    for name in VARIABLES:
        patch.setenv(name, "")
    patch.setenv("RECAP_DATA", str(folder / "data"))
    patch.setenv("RECAP_SET", "[]")
    patch.setenv("DAGSTER_HOME", str(REPOSITORY))
    patch.setenv("COLUMNS", "200")


def recap_in(patch: pytest.MonkeyPatch, folder: Path) -> Recap:
    """`recap` on a folder; what it exports is undone after each call."""
    set_environment(patch, folder)
    runner = CliRunner()

    def run(*words: object, answer: str | None = None) -> Result:
        with patch.context() as within:
            within.delenv("RECAP_EXPERIMENT", raising=False)
            return runner.invoke(main.recap, [str(word) for word in words], input=answer)

    return run


def write_experiment(folder: Path, **changes: object) -> Path:
    """The tiny experiment with some top-level keys replaced, as a file of the folder."""
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump({**EXPERIMENT, **changes}))
    return path
