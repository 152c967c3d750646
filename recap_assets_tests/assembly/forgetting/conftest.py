"""What most tests of this folder forget samples of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recap_assets_tests.assembly.forgetting.scene import SMALL, Scene, built
from recap_assets_tests.cli.running import Recap, recap_in, set_environment
from recap_assets_tests.undrawn import charts_undrawn


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The experiment, built once."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch, charts_undrawn():
        set_environment(patch, folder)
        yield built(folder, SMALL)


@pytest.fixture
def scene(whole: Scene, tmp_path: Path) -> Scene:
    """A copy of it."""
    return whole.copied(tmp_path)


@pytest.fixture
def recap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recap:
    """Runs `recap` on the copy; a certificate is written beside the data folder."""
    monkeypatch.chdir(tmp_path)
    return recap_in(monkeypatch, tmp_path)
