"""The PostgreSQL configuration that docs/scale.md tells to use works."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from recap_assets.defs.assets import POOL_PARTITIONS
from recap_assets.defs.platform import definitions_of
from recap_assets.defs.records import DagsterRecords
from recap_assets.defs.session import HOME_VARIABLE, Session

REPOSITORY = Path(__file__).parents[2]
sys.path.append(str(REPOSITORY / "benchmarks"))

from postgres import private_cluster, server_programs  # noqa: E402 - a script beside the benchmarks

pytestmark = pytest.mark.long(reason="a PostgreSQL of its own, and runs in it")


def fragment() -> str:
    (found,) = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs/scale.md").read_text(), re.S)
    return found


def test_it_differs_from_the_repository_s_in_the_storage_alone() -> None:
    ours = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    theirs = yaml.safe_load(fragment())
    storages = ("run_storage", "event_log_storage", "schedule_storage")
    assert theirs.pop("storage")
    assert theirs == {key: value for key, value in ours.items() if key not in storages}


@pytest.fixture
def on_postgres(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    if server_programs() is None:
        pytest.skip("PostgreSQL's server is not installed")
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(fragment())
    monkeypatch.setenv(HOME_VARIABLE, str(home))
    with private_cluster() as cluster:
        monkeypatch.setenv("RECAP_POSTGRES_URL", cluster.url)
        session.create_tables()
        with session.open_instance() as instance:
            yield instance


def test_runs_and_records_live_in_postgres(
    on_postgres: dg.DagsterInstance, session: Session
) -> None:
    assert on_postgres.get_dynamic_partitions(POOL_PARTITIONS) == list(session.project.partitions)
    job = definitions_of(session).resolve_implicit_global_asset_job_def()
    key = "embedded_world/evaluation/coarse"
    done = job.execute_in_process(
        instance=on_postgres, asset_selection=[dg.AssetKey(key.split("/"))]
    )
    assert done.success
    (run,) = on_postgres.get_runs()
    assert run.run_id == done.run_id
    assert not list(session.project.workspace.instance.glob("*.db"))
    records = DagsterRecords(on_postgres, session.project.workspace.instance)
    assert records.latest(key)[""].n_rows
