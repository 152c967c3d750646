"""How every benchmark names the machine and says whether a ratio meets its target."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

MARK = "ratio | "
"""Begins each line that `python -m benchmarks` puts into its table."""


def machine() -> str:
    """The date, the processor's name and the number of cores that this process may use."""
    cpuinfo = Path("/proc/cpuinfo")
    names = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = next((line.split(":")[1].strip() for line in names if "model name" in line), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {named or platform.processor() or platform.machine()}, "
        f"{cores} cores"
    )


def verdict(what: str, ratio: float, target: float, *, at_most: bool = False) -> None:
    """Print a ratio beside its target, which it must reach, or stay below with `at_most`."""
    met = ratio <= target if at_most else ratio >= target
    bound = f"{'at most' if at_most else 'at least'} {target:g}"
    print(f"{MARK}{what} | {ratio:.3g} | {bound} | {'met' if met else 'missed'}", flush=True)
