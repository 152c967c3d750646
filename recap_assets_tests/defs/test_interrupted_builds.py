"""One Ctrl-C ends a build in words, at whatever moment, and nothing of what was done is lost."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from recap_assets_tests.faults.small import experiment, write_experiment
from recap_assets_tests.killed_builds import KilledBuild
from recap_assets_tests.tiny import EXPERIMENT

pytestmark = pytest.mark.long(reason="builds that are interrupted, and go on")

SECONDS = 600
POOL = ("--select", "raw_pool")


@pytest.fixture
def build(tmp_path: Path) -> KilledBuild:
    write_experiment(tmp_path, tmp_path / "unused.yaml")
    return KilledBuild(tmp_path / "build", experiment(tmp_path))


def is_worker(pid: str) -> bool:
    """Whether the process is a worker that starts; one that has ended meanwhile is none."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def workers_of(driver: subprocess.Popen[str]) -> list[str]:
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children")
    return [child for child in children.read_text().split() if is_worker(child)]


def wait_for_worker(driver: subprocess.Popen[str]) -> None:
    """Until the driver has started a worker, which has much to import yet."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and driver.poll() is None:
        if workers_of(driver):
            return
        time.sleep(0.02)
    pytest.fail("no worker was started")


def test_a_second_interrupt_ends_work_that_would_take_days(tmp_path: Path) -> None:
    scorer = {**EXPERIMENT["models"]["scorer"], "samples_seen": 10**9}
    build = KilledBuild(
        tmp_path, {**EXPERIMENT, "models": {**EXPERIMENT["models"], "scorer": scorer}}
    )
    build.finish("--select", "embedded_world/corpora/*")
    with build.start("--select", "models/scorer") as driver:
        assert driver.stdout is not None
        lines = iter(driver.stdout.readline, "")
        next(line for line in lines if re.search(r"ETA.*models/scorer \d+%", line))
        os.killpg(driver.pid, signal.SIGINT)
        answer = next(line for line in lines if line.startswith("Stopping when this is done"))
        assert "models/scorer" in answer
        workers = workers_of(driver)
        os.killpg(driver.pid, signal.SIGINT)
        rest, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 130, rest
    assert "Traceback" not in rest
    assert rest.endswith("Stopped. What was finished is kept; run again to continue.\n")
    assert workers
    assert not any(map(is_worker, workers))
    build.check_tables()
    build.check_instance()


@pytest.mark.parametrize(("jobs", "after"), [(1, 0.0), (2, 1.5)])
def test_an_interrupt_while_workers_start_is_told_in_words_and_the_next_build_goes_on(
    build: KilledBuild, jobs: int, after: float
) -> None:
    build.jobs = jobs
    with build.start(*POOL) as driver:
        wait_for_worker(driver)
        time.sleep(after)
        os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
        output, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 130, output
    assert "Traceback" not in output
    assert "KeyboardInterrupt" not in output
    told = "Stopped. What was finished is kept; run again to continue."
    assert [line for line in output.splitlines() if line][-1] == told
    build.check_tables()
    build.check_instance()
    build.finish(*POOL)
    build.check_no_run_is_open()
    build.check_nothing_was_recorded_twice()
    assert set(build.versions()) == {("raw_pool", "00000"), ("raw_pool", "00001")}
