"""A session on a tiny experiment in a data folder of its own."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from recap_assets.defs.session import (
    EXPERIMENT_VARIABLE,
    HOME_VARIABLE,
    INSTANCE_VARIABLE,
    SETTINGS_VARIABLE,
    Session,
)
from recap_assets.storage.workspace import DATA_VARIABLE
from recap_assets_tests.cli.running import set_environment, write_experiment
from recap_assets_tests.tiny import EXPERIMENT

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def nothing_built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny experiment's folder with its tables and Dagster's storage, made but empty."""
    folder = tmp_path_factory.mktemp("nothing_built")
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, folder)
        session = Session(write_experiment(folder))
        session.create_tables()
        session.open_instance().dispose()
    return session.project.workspace.root


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Session]:
    """Opens the tiny experiment with some top-level keys replaced; undoes what it exports."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "data"))
    monkeypatch.setenv(HOME_VARIABLE, str(REPOSITORY))
    for name in (EXPERIMENT_VARIABLE, SETTINGS_VARIABLE, INSTANCE_VARIABLE):
        monkeypatch.setenv(name, "")

    def open_session(**changes: Any) -> Session:
        path = tmp_path / "experiment.yaml"
        path.write_text(yaml.safe_dump({**EXPERIMENT, **changes}))
        session = Session(path)
        session.export()
        return session

    return open_session


@pytest.fixture
def session(opened: Callable[..., Session]) -> Session:
    return opened()


@pytest.fixture
def instance(session: Session, nothing_built: Path) -> dg.DagsterInstance:
    shutil.copytree(nothing_built, session.project.workspace.root, dirs_exist_ok=True)
    session.create_tables()
    return session.open_instance()
