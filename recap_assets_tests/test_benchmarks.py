"""Every benchmark still runs, at the sizes of `python -m benchmarks --quick`.

They call functions that no user does, with arguments of their own, so nothing else would notice one
that a change of the platform has broken. Whether a ratio meets its target is not asked here.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import QUICK

ROOT = Path(__file__).parents[1]

TESTED_BY_OTHERS = {"daemon", "kills"}
"""What takes minutes at any size, and is done by tests of the daemon and of killed builds."""

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", sorted(QUICK.keys() - TESTED_BY_OTHERS))
def test_a_benchmark_runs_at_a_small_size(name: str) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *QUICK[name]]
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "\nratio | " in done.stdout
