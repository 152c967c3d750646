"""The GPUs of this machine: which there are, which may be used, which this process holds.

torch is not asked: it would begin to use a GPU that another process holds.
"""

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import lru_cache

from recap_assets.storage.leases import Lease, Leases
from recap_assets.untrusted.errors import RecapError

GPUS_VARIABLE = "RECAP_GPUS"
VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
ALL = "all"
SECONDS = 30
_log = logging.getLogger(__name__)
_LISTED = re.compile(r"^( *)(?:GPU|MIG) .*\(UUID: ((?:GPU|MIG)-[\w/.-]+)\)", re.MULTILINE)


class GpuError(RecapError, ValueError):
    """GPUs were asked for that this machine does not have."""


@lru_cache(maxsize=1)
def gpus_here() -> tuple[str, ...]:
    """The ids of the NVIDIA GPUs that this process may see, as CUDA_VISIBLE_DEVICES takes them.

    Where a GPU is divided (MIG), its parts count, and not the GPU. None where nvidia-smi is not
    there or fails; what torch finds all the same is used without a lease. That it cannot be run
    or does not answer is said; that it fails is usual in a container of a machine without a GPU.
    """
    visible = os.environ.get(VISIBLE_VARIABLE)
    program = shutil.which("nvidia-smi")
    if program is None or visible in {"", "-1"}:
        return ()
    try:
        listed = subprocess.run(  # noqa: S603 - fixed words
            [program, "-L"], capture_output=True, text=True, timeout=SECONDS, check=True
        ).stdout
    except subprocess.CalledProcessError:
        return ()
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("GPUs are used without a lease, if at all: %s: %s", program, error)
        return ()
    found = read_listing(listed)
    return found if visible is None else _only_visible(found, visible)


def read_listing(listed: str) -> tuple[str, ...]:
    """The ids of the GPUs, or of their parts, that `nvidia-smi -L` lists."""
    found: list[str] = []
    for indent, uuid in _LISTED.findall(listed):
        if indent and found and found[-1].startswith("GPU-"):
            found.pop()
        found.append(uuid)
    return tuple(found)


def _only_visible(found: Sequence[str], visible: str) -> tuple[str, ...]:
    """Those that CUDA_VISIBLE_DEVICES names, by number or by the beginning of their id."""
    chosen: list[str] = []
    for word in filter(None, map(str.strip, visible.split(","))):
        if word.isdecimal():
            named = found[int(word) : int(word) + 1]
        else:
            named = [one for one in found if one.startswith(word)][:1]
        if not named:
            break  # CUDA sees what is before the first name that it does not know
        chosen += named
    return tuple(dict.fromkeys(chosen))


def chosen_gpus(words: str | None = None) -> tuple[str, ...]:
    """The GPUs that may be used.

    Args:
        words: `all`, a number of them, or their numbers with commas (`0,2`; `1,` for one alone); by
            default what RECAP_GPUS says, or all.

    Raises:
        GpuError: The words mean nothing, or GPUs that are not there.
    """
    words = (os.environ.get(GPUS_VARIABLE, ALL) if words is None else words).strip()
    found = gpus_here()
    if words == ALL:
        return found
    numbers = [part.strip() for part in words.split(",")]
    if not all(part.isdecimal() for part in numbers if part) or not any(numbers):
        msg = f"GPUs {words!r}: say {ALL}, a number of them, or their numbers (0,2; 1, for one)"
        raise GpuError(msg)
    wanted = [int(part) for part in numbers if part] if "," in words else range(int(words))
    if missing := [str(number) for number in wanted if number >= len(found)]:
        msg = f"GPUs {words!r}: there is no GPU {', '.join(missing)}; nvidia-smi shows {len(found)}"
        raise GpuError(msg)
    return tuple(dict.fromkeys(found[number] for number in wanted))


class HeldGpus:
    """The GPUs that this process computes on: none until it needs some, then the same to its end.

    CUDA reads once which devices it may use, so what a process was given first stays its own; it
    may be given others beside, for programs that it starts.

    Args:
        leases: Gives those of this machine.
    """

    def __init__(self, leases: Callable[[], Leases] = Leases.of_this_machine) -> None:
        self._leases = leases
        self._lease = Lease(())
        self._first: tuple[str, ...] = ()

    @property
    def devices(self) -> tuple[str, ...]:
        """Their ids."""
        return self._lease.devices

    @property
    def files(self) -> tuple[int, ...]:
        """What a program that computes on them inherits, so that it holds them to its own end."""
        return self._lease.files

    def hold(self, n: int | None, holder: str, on_wait: Callable[[str], None]) -> None:
        """Hold `n` GPUs, or all that may be used, waiting for others to let them go.

        Where there are fewer it holds those, and none on a machine without any. What it holds is
        all that torch sees, so no GPU may be used before.

        Args:
            n: How many; None: all. For none nothing changes.
            holder: What this process does, for others that wait.
            on_wait: Called once with the holders, where they have to be waited for.

        Raises:
            GpuError: RECAP_GPUS names GPUs that are not there.
        """
        if n == 0 or not gpus_here():
            return
        allowed = chosen_gpus()
        n = len(allowed) if n is None else min(n, len(allowed))
        if n != len(self.devices):
            # Two that each wait for what the other holds would wait for ever.
            self._lease.let_go()
            self._lease = self._leases().take(allowed, n, holder, on_wait, self._first[:n])
            self._first = self._first or self.devices
        os.environ[VISIBLE_VARIABLE] = ",".join(self.devices)


HELD = HeldGpus()
"""Those of this process."""
