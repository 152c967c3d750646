"""Servers do not outlive the command that started them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from recap_assets_tests.waiting import SECONDS, wait_for

DRIVER = """
import sys
from recap_assets.cli.serving import _running
sleeping = ["-c", "import time; time.sleep(600)"]
with _running(sleeping, sleeping) as processes:
    print(*(one.pid for one in processes), flush=True)
    processes[0].wait()
"""


def test_what_ends_the_command_ends_its_servers() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", DRIVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as driver:  # noqa: S603 - ours
        assert driver.stdout is not None
        pids = [int(pid) for pid in driver.stdout.readline().split()]
        assert len(pids) == 2
        driver.send_signal(signal.SIGTERM)
        try:
            driver.wait(SECONDS)
        finally:
            driver.kill()
    wait_for(lambda: not any(map(psutil.pid_exists, pids)), "its servers have ended")


def test_an_end_without_a_look_for_garbage_says_nothing() -> None:
    pytest.importorskip("triton", reason="torch brings it where there may be GPUs of NVIDIA's")
    code = "import atexit, triton; from recap_assets.defs.garbage import leave_garbage as leave"
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", f"{code}; atexit.register(leave)"],
        capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")
