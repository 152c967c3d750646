"""Every benchmark still runs, at the sizes of `python -m benchmarks --quick`.

They call functions that no user does, with arguments of their own, so nothing else would notice one
that a change of the platform has broken. Whether a ratio meets its target is not asked here.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import QUICK
from benchmarks.works import WORKS

ROOT = Path(__file__).parents[1]

DONE_BY_OTHERS = {"scoring, ViT-B-32", "captioning, embedded"}
"""Works that take long at any size, of stages that `scoring_stage` and `captioning` run."""

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


@pytest.mark.parametrize("work", sorted(WORKS.keys() - DONE_BY_OTHERS))
def test_a_work_of_the_comparison_runs_at_a_small_size(work: str, tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "works.py")
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, script, work, "--inputs", str(tmp_path), "--share", "0.002"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        input="run\n", capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    ready, seconds = done.stdout.split()
    assert ready == "ready"
    assert float(seconds) > 0
