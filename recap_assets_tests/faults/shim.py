"""What is loaded before libc to do harm at the N-th call on files below a folder."""

import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
KINDS = ("open", "create", "write", "sync", "rename")
"""Calls that are told apart, in the order of `enum kind`: `create` is every opening that may write,
and the making of a folder."""

_STATE = struct.Struct(f"{len(KINDS) + 3}l")
FOR_EVER = 2**40


def why_not() -> str | None:
    """Why the shim cannot be used here; None where it can."""
    if sys.platform != "linux":
        return "faults are injected by LD_PRELOAD into glibc's calls: on Linux only"
    if shutil.which("cc") is None:
        return "no C compiler `cc`, which makes what injects the faults"
    return None


def compile_shim(folder: Path) -> Path:
    """The shared library, made in a folder.

    Raises:
        subprocess.CalledProcessError: The compiler refused it.
    """
    library = folder / "faults.so"
    words = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(words, check=True)  # noqa: S603 - our own words
    return library


@dataclass(frozen=True)
class Harm:
    """What is done, and when.

    Attributes:
        kinds: Calls that count, of `KINDS`.
        first: The number of the first of them at which it is done; 0: never.
        last: The number of the last one.
        error: The call fails with this errno; 0: it is made.
        signal: Sent to the process group; 0: none.
        shift: Seconds that are added to the clock from then on.
    """

    kinds: Sequence[str] = ()
    first: int = 0
    last: int = 0
    error: int = 0
    signal: int = 0
    shift: int = 0

    def environment(self, below: Path, state: Path) -> Mapping[str, str]:
        """Arms processes that load the shim.

        Args:
            below: The folder whose files count, without links in its path.
            state: A file of `new_state`.
        """
        values = {
            "KINDS": sum(1 << KINDS.index(kind) for kind in self.kinds),
            "FIRST": self.first, "LAST": self.last, "ERROR": self.error,
            "SIGNAL": self.signal, "SHIFT": self.shift,
        }  # fmt: skip
        where = {"FAULTS_BELOW": str(below), "FAULTS_STATE": str(state)}
        return where | {f"FAULTS_{name}": str(value) for name, value in values.items()}


def new_state(path: Path, *, shift: int = 0) -> Path:
    """A file of counts, all zero.

    Args:
        path: Where.
        shift: Seconds that the clock is off from the beginning.
    """
    path.write_bytes(_STATE.pack(*[0] * (len(KINDS) + 2), shift))
    return path


@dataclass(frozen=True)
class Counts:
    """What the shim saw: calls by kind, and at how many it did harm."""

    calls: Mapping[str, int]
    n_done: int

    @classmethod
    def read(cls, path: Path) -> "Counts":
        """From a file of `new_state`."""
        *calls, _, done, _ = _STATE.unpack(path.read_bytes())
        return cls(dict(zip(KINDS, calls, strict=True)), done)
