"""Runs whose process is gone: closed, so that nothing waits for them.

A build that was killed leaves runs that look as if they went on, and the places they took in
concurrency pools. So does a daemon that was killed together with its runs: Dagster notices the end
of a run's process only while the code server that started it is there.
"""

import os
import socket
from functools import lru_cache

import dagster as dg

DOOR_TAG = "recap/door"
DOOR = "recap build"
DRIVER_TAG = "recap/driver"


def driver_tags() -> dict[str, str]:
    """Tags that say which process of which machine a run lives in."""
    return {DOOR_TAG: DOOR, DRIVER_TAG: _this_process()}


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def is_of_a_build(run: dg.DagsterRun) -> bool:
    """Whether `recap build` runs it, and not Dagster, which copies tags where it runs one again."""
    return DOOR_TAG in run.tags and run.tags.get(DRIVER_TAG) == _this_process()


def sign(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Let a run that Dagster launched say in which process it lives."""
    if run.tags.get(DRIVER_TAG) != _this_process():
        _sign(instance, run.run_id)


@lru_cache(maxsize=1)
def _sign(instance: dg.DagsterInstance, run_id: str) -> None:
    # Once for all steps of a run.
    instance.add_run_tags(run_id, {DRIVER_TAG: _this_process()})


def close_dead_runs(instance: dg.DagsterInstance) -> int:
    """Mark runs on this machine as failed where their process is gone.

    Returns:
        How many there were.
    """
    statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
    open_runs = instance.get_runs(dg.RunsFilter(statuses=statuses))
    dead = [run for run in open_runs if _is_dead(_driver_of(instance, run))]
    for run in dead:
        instance.report_run_failed(run, "the process of this run is gone; what it had done is kept")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return len(dead)


def _driver_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The process that it signed with; the tag of the run that it repeats is not its own."""
    driver = run.tags.get(DRIVER_TAG, "")
    repeated = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    is_copied = repeated is not None and repeated.tags.get(DRIVER_TAG) == driver
    return "" if is_copied else driver


def _is_dead(driver: str) -> bool:
    host, _, process = driver.rpartition(":")
    if host != socket.gethostname() or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
