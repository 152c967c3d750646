"""Python programs of our own that print while they compute, and end with whoever reads them."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from recap_assets.engines.gpus import HELD
from recap_assets.engines.threads import torch_threads

# A library's own reporting stays off: the process that builds reports, which knows which run it is.
_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "WANDB_MODE": "disabled"}


def lines_of(words: Sequence[str]) -> Iterator[str]:
    """Start Python with some words, and give what it prints until it ends; it ends with us."""
    leash = [sys.executable, "-m", "recap_assets.engines.leash", str(os.getpid())]
    process = subprocess.Popen(  # noqa: S603 - our own words, no shell
        [*leash, sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=HELD.files,
        env={**os.environ, **_ENVIRONMENT, "OMP_NUM_THREADS": str(torch_threads())},
    )
    try:
        yield from (line.rstrip() for line in process.stdout or ())
        process.wait()
    finally:
        process.terminate()
        process.wait()
