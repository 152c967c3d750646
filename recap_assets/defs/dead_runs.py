"""Runs whose process is gone: closed, so that nothing waits for them.

A build that was killed leaves runs that look as if they went on, and the places they took in
concurrency pools.
"""

import os
import socket

import dagster as dg

DOOR_TAG = "recap/door"
DOOR = "recap build"
DRIVER_TAG = "recap/driver"


def driver_tags() -> dict[str, str]:
    """Tags that say which process of which machine a run lives in."""
    return {DOOR_TAG: DOOR, DRIVER_TAG: f"{socket.gethostname()}:{os.getpid()}"}


def close_dead_runs(instance: dg.DagsterInstance) -> int:
    """Mark runs of `recap build` on this machine as failed where their process is gone.

    Returns:
        How many there were.
    """
    open_runs = instance.get_runs(
        dg.RunsFilter(
            tags={DOOR_TAG: DOOR},
            statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING],
        )
    )
    dead = [run for run in open_runs if _is_dead(run.tags.get(DRIVER_TAG, ""))]
    for run in dead:
        instance.report_run_failed(run, "the process of this run is gone; what it had done is kept")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return len(dead)


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
