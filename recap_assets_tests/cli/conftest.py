"""The command line in this process, in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recap_assets_tests.cli.running import Recap, recap_in, write_experiment
from recap_assets_tests.cli.shards_built import two_shards  # noqa: F401 - a fixture


@pytest.fixture
def recap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recap:
    """Runs `recap` with the given words; what it exports is undone."""
    return recap_in(monkeypatch, tmp_path)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny experiment with some top-level keys replaced."""

    def write(**changes: object) -> Path:
        return write_experiment(tmp_path, **changes)

    return write
