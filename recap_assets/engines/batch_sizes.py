"""How many rows a model computes at once: tried out, halved when memory runs out, kept in a file.

The size changes the speed and not the result, so it is no part of any version, and the file beside
the experiments may be deleted at any time.
"""

import gc
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from recap_assets.engines.errors import DeviceError
from recap_assets.engines.protocols import BATCH_MULTIPLE
from recap_assets.specs.running import AUTO_ROWS, AUTO_ROWS_ON_GPU
from recap_assets.storage.files import write_atomically

_PLATEAU = 0.9
"""A CPU's batch is doubled while that saves at least a tenth of an image's time."""

_SIGNS = (
    "out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate", "CUDNN_STATUS_ALLOC_FAILED",
)  # fmt: skip
"""What torch says in errors that are not of their own type: MPS, the CPU, the CUDA driver, and
libraries that find no room for what they keep."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device or the machine had no memory left."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def free_memory() -> None:
    """Give back what a failed batch held; call it outside of the `except` that caught it."""
    gc.collect()
    # To ask whether there is a GPU would begin to use it.
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@dataclass(frozen=True)
class Load:
    """What decides how many rows fit: the model, its numbers, the length of what it writes.

    Attributes:
        model: As the experiment names it.
        revision: Commit of the hub's repository, or open_clip's tag.
        precision: What it computes in, with the quantisation of its weights, and the attention
            where that is not the library's choice.
        max_tokens: Longest caption; 0 for a scorer.
        device: The device's name, not its number.
    """

    model: str
    revision: str | None
    precision: str
    max_tokens: int
    device: str


class BatchSize:
    """Rows of one forward pass of one model.

    Args:
        rows: As the experiment says; `auto` is looked up in the file, or else to be tried out.
        load: What the size is good for.
        file: Where sizes are kept; None keeps none.

    Attributes:
        rows: The size now; None until `try_out`.
        load: What the size is good for.
    """

    def __init__(
        self, rows: int | Literal["auto"], load: Load | None = None, file: Path | None = None
    ) -> None:
        self.load, self._file = load, file
        self.rows: int | None = self._kept() if rows == "auto" else rows

    @property
    def row_classes(self) -> Path | None:
        """File beside it for the numbers of rows that a device computes alike."""
        return None if self._file is None else self._file.with_name("row_classes.json")

    def try_out(
        self,
        attempt: Callable[[int], object],
        device: torch.device,
        free: Callable[[], None] = free_memory,
    ) -> int:
        """Find the largest size that fits, or on a CPU the one that more rows do not better.

        Args:
            attempt: Computes this number of rows of the longest kind.
            device: Where.
            free: Gives back what an attempt that did not fit has left in memory.

        Raises:
            DeviceError: Not even one row fits.
        """
        self.keep(largest_batch(attempt, device, free))
        assert self.rows is not None  # noqa: S101 - for the type checker
        return self.rows

    def halve(self) -> None:
        """Take half as many from now on, at least one."""
        self.rows = max(1, (self.rows or 1) // 2)

    def keep(self, rows: int) -> None:
        """Use this size, and remember it for the next process."""
        self.rows = rows
        if self._file is not None and self.load is not None:
            others = [entry for entry in _entries(self._file) if not _is_of(entry, self.load)]
            entries = [*others, asdict(self.load) | {"rows": rows}]
            write_atomically(self._file, json.dumps(entries, indent=1).encode())

    def _kept(self) -> int | None:
        if self._file is None or self.load is None:
            return None
        entries = [entry for entry in _entries(self._file) if _is_of(entry, self.load)]
        found = [rows for entry in entries if isinstance(rows := entry["rows"], int) and rows > 0]
        return found[-1] if found else None


_Entry = dict[str, Any]


def kept_entries(file: Path) -> list[_Entry]:
    """What a file of findings holds; a damaged one holds nothing, since all can be found again."""
    try:
        entries = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return []
    return [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []


def _entries(file: Path) -> list[_Entry]:
    return [entry for entry in kept_entries(file) if "rows" in entry]


def _is_of(entry: _Entry, load: Load) -> bool:
    return {key: value for key, value in entry.items() if key != "rows"} == asdict(load)


def largest_batch(
    attempt: Callable[[int], object],
    device: torch.device,
    free: Callable[[], None] = free_memory,
) -> int:
    """Rows of the largest batch that fits, by doubling from eight up to `AUTO_ROWS` or a GPU's.

    A CPU has no memory error to wait for, the system kills the process instead. There the doubling
    ends when a row is no longer faster, or when the process has held half of the memory.

    Raises:
        DeviceError: Not even one row fits.
    """
    rows = BATCH_MULTIPLE
    while _seconds(attempt, rows, free) is None:  # also a warm-up: the first pass is the slowest
        if rows == 1:
            msg = f"not even one row fits into the memory of {device_name(device)}"
            raise DeviceError(msg)
        rows //= 2
    is_cpu = device.type == "cpu"
    seconds = _seconds(attempt, rows, free) if is_cpu else 0.0
    most = AUTO_ROWS if is_cpu else AUTO_ROWS_ON_GPU
    while rows * 2 <= most and not (is_cpu and _half_of_memory_is_used()):
        doubled = _seconds(attempt, rows * 2, free)
        if doubled is None or seconds is None or (is_cpu and doubled > 2 * _PLATEAU * seconds):
            break
        rows, seconds = rows * 2, doubled
    return rows


def _seconds(attempt: Callable[[int], object], rows: int, free: Callable[[], None]) -> float | None:
    """What an attempt took; None where memory ran out."""
    start = time.perf_counter()
    try:
        attempt(rows)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    else:
        return time.perf_counter() - start
    free()
    return None


def _half_of_memory_is_used() -> bool:
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return peak > 0.5 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def device_name(device: torch.device) -> str:
    """The kind of a device: what fits on one fits on another of that name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    kind = platform.processor() or platform.machine()
    return f"{device.type} {kind}, {torch.get_num_threads()} threads"
