"""A run whose process was killed is closed, one that lives or is elsewhere is left alone."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from recap_assets.defs.dead_runs import (
    DOOR,
    DOOR_TAG,
    DRIVER_TAG,
    close_dead_runs,
    driver_tags,
    is_of_a_build,
    sign,
)


@dg.job
def a_job() -> None:
    """Nothing."""


@pytest.mark.parametrize(
    ("driver", "closed"),
    [("dead", 1), ("alive", 0), ("elsewhere:1", 0), ("nonsense", 0)],
)
def test_only_dead_runs_of_this_machine_are_closed(
    tmp_path: Path, driver: str, closed: int
) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    host = socket.gethostname()
    names = {"dead": f"{host}:{process.pid}", "alive": f"{host}:{os.getpid()}"}
    tags = {DOOR_TAG: DOOR, DRIVER_TAG: names.get(driver, driver)}
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = instance.create_run_for_job(a_job, tags=tags, status=dg.DagsterRunStatus.STARTED)
        assert close_dead_runs(instance) == closed
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert (found.status == dg.DagsterRunStatus.FAILURE) == bool(closed)


def test_a_run_that_repeats_a_dead_one_lives_until_it_signs(tmp_path: Path) -> None:
    """Dagster copies the tags of the run that it repeats, the process's among them."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    started = dg.DagsterRunStatus.STARTED
    tags = {DOOR_TAG: DOOR, DRIVER_TAG: f"{socket.gethostname()}:{process.pid}"}
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        first = instance.create_run_for_job(a_job, tags=tags, status=started)
        assert close_dead_runs(instance) == 1
        repeats = {"root_run_id": first.run_id, "parent_run_id": first.run_id}
        again = instance.create_run_for_job(a_job, tags=tags, status=started, **repeats)
        assert close_dead_runs(instance) == 0
        assert not is_of_a_build(again)
        sign(instance, again)
        signed = instance.get_run_by_id(again.run_id)
        assert signed is not None
        assert signed.tags[DRIVER_TAG] == f"{socket.gethostname()}:{os.getpid()}"


def test_a_run_says_where_it_lives() -> None:
    assert driver_tags() == {DOOR_TAG: DOOR, DRIVER_TAG: f"{socket.gethostname()}:{os.getpid()}"}
