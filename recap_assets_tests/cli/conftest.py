"""The command line in this process, in a folder of its own."""

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


@pytest.fixture
def recap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recap:
    """Runs `recap` with the given words; what it exports is undone."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("RECAP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RECAP_SET", "[]")
    monkeypatch.setenv("DAGSTER_HOME", str(REPOSITORY))
    monkeypatch.setenv("COLUMNS", "200")
    runner = CliRunner()

    def run(*words: str | Path, answer: str | None = None) -> Result:
        with monkeypatch.context() as patch:
            patch.delenv("RECAP_EXPERIMENT", raising=False)
            return runner.invoke(main.recap, [str(word) for word in words], input=answer)

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny experiment with some top-level keys replaced."""

    def write(**changes: object) -> Path:
        path = tmp_path / "experiment.yaml"
        path.write_text(yaml.safe_dump({**EXPERIMENT, **changes}))
        return path

    return write
