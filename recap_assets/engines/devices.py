"""Devices and precisions as torch names them, and how batches are padded on each."""

import torch

from recap_assets.engines.errors import DeviceError
from recap_assets.engines.protocols import BATCH_MULTIPLE
from recap_assets.specs.sources import Precision

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def resolve_device(device: str) -> torch.device:
    """The device to compute on; `auto` is a GPU where there is one.

    Raises:
        DeviceError: This machine has no such device.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if device == "auto":
        return torch.device(available[0])
    wanted = torch.device(device)
    if wanted.type not in available or (wanted.index or 0) >= max(1, torch.cuda.device_count()):
        msg = f"device {device} is not on this machine; it has {', '.join(available)}"
        raise DeviceError(msg)
    return wanted


def dtype_of(precision: Precision) -> torch.dtype:
    """The torch type of a precision."""
    return _DTYPES[precision]


def padded_count(n: int, full: int, device: torch.device) -> int:
    """Rows to compute so that a row's bits do not depend on its neighbours.

    On the CPU the next multiple of `BATCH_MULTIPLE`. A GPU's library chooses its kernel by the
    number of rows, so there every batch is filled up to the `full` one.
    """
    n = n if device.type == "cpu" else max(n, full)
    return -(-n // BATCH_MULTIPLE) * BATCH_MULTIPLE
