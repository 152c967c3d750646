"""The same data folder has the same records wherever `recap` is called."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recap_assets.defs import session as module
from recap_assets.defs.session import HOME_VARIABLE, Session
from recap_assets.defs.storage_files import DAGSTER_YAML

REPOSITORY = Path(__file__).parents[2]


def storage_of(session: Session) -> tuple[str, str]:
    instance = session.open_instance()
    try:
        storage = instance.event_log_storage
        return type(storage).__name__, str(instance.run_storage._conn_string)  # type: ignore[attr-defined]
    finally:
        instance.dispose()


def test_records_are_the_same_from_a_checkout_and_from_elsewhere(
    opened: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for folder in (REPOSITORY, tmp_path):
        monkeypatch.chdir(folder)
        monkeypatch.delenv(HOME_VARIABLE)
        found.append(storage_of(opened()))
    assert found[0] == found[1]
    assert found[0][0] == "ConsolidatedSqliteEventLogStorage"


def test_a_configuration_of_ones_own_is_left_alone(
    opened: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = opened().project.workspace.instance / DAGSTER_YAML
    own.parent.mkdir(parents=True)
    own.write_text("telemetry: {enabled: false}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(HOME_VARIABLE)
    opened().open_instance().dispose()
    assert own.read_text() == "telemetry: {enabled: false}\n"


def test_the_shipped_configuration_is_that_of_the_checkout() -> None:
    shipped = Path(module.__file__).parent / DAGSTER_YAML
    assert shipped.read_bytes() == (REPOSITORY / DAGSTER_YAML).read_bytes()
