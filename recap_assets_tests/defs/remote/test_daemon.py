"""Runs of the daemon compute on the workers that dagster.yaml names, as the guide says."""

import os
import re
from pathlib import Path

import dagster as dg
import pytest
import yaml

from recap_assets.defs.remote.settings import RemoteSettings
from recap_assets.defs.remote.workers import connect
from recap_assets.defs.session import Session
from recap_assets_tests.defs.services import services, wait_for, write_instance
from recap_assets_tests.defs.test_daemon import Platform, launch_backfill

ray = pytest.importorskip("ray", reason="the extra ray is not installed")

from recap_assets_tests.defs.remote.cluster import (  # noqa: E402 - needs ray
    ASSET,
    REPOSITORY,
    captions,
    kind_everywhere,
    nodes,
    pool_of,
)

pytestmark = pytest.mark.long(reason="a real daemon, and a cluster")

SECONDS = 600
N_SHARDS, SAMPLES = 3, 2


def with_workers(home: Path, address: str) -> None:
    """Add the guide's lines to dagster.yaml."""
    guide = (REPOSITORY / "docs" / "guides" / "many_machines.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    (lines,) = [block for block in blocks if "WorkersRunLauncher" in block]
    content = yaml.safe_load((home / "dagster.yaml").read_text())
    content |= yaml.safe_load(lines.replace("ray://HEAD:10001", address))
    (home / "dagster.yaml").write_text(yaml.safe_dump(content))


def build_by_the_daemon(platform: Platform, *assets: str) -> None:
    (partition,) = platform.session().project.partitions
    for asset in assets:
        launch_backfill(platform, asset, (partition,), [])
        wanted = (asset, partition)
        wait_for(lambda one=wanted: one in platform.computed(0), SECONDS, asset)


def test_a_run_of_the_daemon_computes_on_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    with kind_everywhere(tmp_path, monkeypatch):
        file = pool_of(tmp_path, N_SHARDS, SAMPLES)
        variables = {
            "DAGSTER_HOME": home, "RECAP_EXPERIMENT": file, "RECAP_DATA": data,
            "RECAP_INSTANCE": data / "faults" / "dagster", "DAGSTER_DISABLE_TELEMETRY": "yes",
        }  # fmt: skip
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.delenv("RECAP_WORKERS", raising=False)
        write_instance(home)
        session = Session(file)
        session.create_tables()
        session.open_instance()  # which gets to know the partitions
        with nodes(2) as cluster:
            with_workers(home, str(cluster.address))
            with services(home, dict(os.environ), pause=2) as running:
                platform = Platform(file, running, dg.DagsterInstance.get())
                build_by_the_daemon(platform, "raw_pool", ASSET)
            connect(RemoteSettings(str(cluster.address)))
            actors = ray.util.list_named_actors()
    assert [name for name in actors if name.startswith(f"faults/{ASSET}/")], actors
    assert captions(data).height == N_SHARDS * SAMPLES
