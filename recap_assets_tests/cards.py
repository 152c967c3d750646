"""A machine with GPUs, as far as nvidia-smi says so."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recap_assets.engines.gpus import gpus_here
from recap_assets_tests.waiting import wait_for


def shown(*numbers: int) -> tuple[str, ...]:
    """The ids of cards."""
    return tuple(f"GPU-{number}-of-tests" for number in numbers)


@contextmanager
def cards_here(folder: Path, n: int) -> Iterator[None]:
    """`n` GPUs for this process and those that it starts, with leases of their own."""
    lines = [f"GPU {i}: Card (UUID: {name})" for i, name in enumerate(shown(*range(n)))]
    program = folder / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\ncat <<END\n" + "\n".join(lines) + "\nEND\n")
    program.chmod(0o755)
    wait_for(lambda: _runs(program), "no process that was forked has the program open to write")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
            patch.setenv("CUDA_VISIBLE_DEVICES", "0")  # to be put back
            patch.delenv("CUDA_VISIBLE_DEVICES")
            patch.delenv("RECAP_GPUS", raising=False)
            patch.setenv("RECAP_LEASES", str(folder / "leases"))
            gpus_here.cache_clear()
            yield
    finally:
        # What is found is kept, so it is forgotten once the program is out of reach again.
        gpus_here.cache_clear()


def _runs(program: Path) -> bool:
    """Whether the program can be run: not while another process has it open, to write."""
    try:
        subprocess.run([program], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    except OSError as error:
        if error.errno != errno.ETXTBSY:
            raise
        return False
    return True
