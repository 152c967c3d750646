"""Devices and precisions as torch names them."""

import torch

from recap_assets.engines.errors import DeviceError
from recap_assets.specs.running import Precision

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
