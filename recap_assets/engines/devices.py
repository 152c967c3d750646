"""Devices and precisions as torch names them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

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
    if device == "cpu":
        # CUDA reads once which GPUs it may use: none is asked for before this process holds some.
        return torch.device(device)
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


def amp_of(
    precision: Literal["auto", "float32", "bfloat16"], device: torch.device
) -> torch.dtype | None:
    """What automatic mixed precision computes in; None for float32 throughout.

    `auto` is bfloat16 on a CUDA GPU that has it, and float32 elsewhere.
    """
    if precision == "auto":
        has_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_it else None
    return torch.bfloat16 if precision == "bfloat16" else None


def dtype_of(precision: Precision) -> torch.dtype:
    """The torch type of a precision."""
    return _DTYPES[precision]


def device_class(device: torch.device) -> Mapping[str, str]:
    """What decides which kernels a device computes with: the same class gives the same bits."""
    if device.type != "cuda":
        return {"device": device.type, "torch": torch.__version__}
    major, minor = torch.cuda.get_device_capability(device)
    return {
        "device": torch.cuda.get_device_name(device),
        "capability": f"{major}.{minor}",
        "torch": torch.__version__,
    }


_ATTENTION = (
    ("flash", SDPBackend.FLASH_ATTENTION),
    ("efficient", SDPBackend.EFFICIENT_ATTENTION),
    ("math", SDPBackend.MATH),
)
"""Kernels of torch's attention on CUDA, without cuDNN's: that plans anew, 48 ms on an H200, for
every number of rows and tokens, and whether torch prefers it differs from version to version.
Whoever changes them raises the version of captions: rows of before are taken over otherwise."""


def attention_class(device: torch.device) -> Mapping[str, str]:
    """The kernels that `pinned_attention` leaves, for what is computed in it."""
    if device.type != "cuda":
        return {}
    return {"attention": ", ".join(name for name, _ in _ATTENTION)}


@contextmanager
def pinned_attention(device: torch.device) -> Iterator[None]:
    """Have torch's attention choose among the same kernels on every CUDA device."""
    if device.type != "cuda":
        yield
        return
    with sdpa_kernel([backend for _, backend in _ATTENTION]):
        yield
