"""Which workers compute, by the environment and by dagster.yaml."""

import sys
from pathlib import Path

import dagster as dg
import pytest

from recap_assets.defs.remote.chosen import ChosenWorkers
from recap_assets.defs.remote.settings import (
    RemoteSettingError,
    RemoteSettings,
    remote_settings,
)
from recap_assets.defs.remote.workers import RayWorkers, RefusedError, connect
from recap_assets.graph.project import Project
from recap_assets.graph.workers import HERE
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.tiny import tiny_experiment

LAUNCHER = """
run_launcher:
  module: recap_assets.defs.remote.launcher
  class: WorkersRunLauncher
  config:
    workers: {address}
"""


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "RECAP_WORKERS", "RECAP_MOST_WORKERS", "RECAP_WORKER_IDLE_SECONDS", "RECAP_TRAINING_NODES",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


def test_this_machine_computes_where_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert remote_settings() is None
    assert remote_settings("auto") == RemoteSettings("auto")
    monkeypatch.setenv("RECAP_WORKERS", "local")
    assert remote_settings("ray://head:10001") is None, "the command line comes first"
    monkeypatch.setenv("RECAP_WORKERS", "ray://head:10001")
    monkeypatch.setenv("RECAP_MOST_WORKERS", "3")
    monkeypatch.setenv("RECAP_TRAINING_NODES", "4")
    assert remote_settings() == RemoteSettings("ray://head:10001", 3, training_nodes=4)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("RECAP_WORKERS", "everywhere"), ("RECAP_MOST_WORKERS", "many"),
        ("RECAP_MOST_WORKERS", "0"), ("RECAP_WORKER_IDLE_SECONDS", "nan"),
        ("RECAP_TRAINING_NODES", "-1"), ("RECAP_TRAINING_NODES", "all"),
    ],
)  # fmt: skip
def test_a_setting_that_means_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.setenv("RECAP_WORKERS", "auto")
    monkeypatch.setenv(name, words)
    with pytest.raises(RemoteSettingError, match=words):
        remote_settings()


@pytest.mark.parametrize("address", ["auto", "local"])
def test_dagster_yaml_names_the_workers_of_its_runs(tmp_path: Path, address: str) -> None:
    (tmp_path / "dagster.yaml").write_text(LAUNCHER.format(address=address))
    project = Project(tiny_experiment(), Workspace(tmp_path / "data", "tiny"))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        chosen = ChosenWorkers(project)
        found = chosen.of(instance)
        assert chosen.of(instance) is found, "connections and models are kept"
    assert isinstance(found, RayWorkers) if address == "auto" else found is HERE


def test_workers_of_a_cluster_without_ray_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RefusedError, match=r"-m pip install .*ray[<>]"):
        connect(RemoteSettings("auto"))
