"""How many threads torch computes with: by the machine, whoever asks for the computation.

Sums of several threads meet in another order than those of one, so trained weights depend on their
number in the last bits, and after some steps in more. The number is therefore no matter of how
many workers a build has, nor of whether Dagster, its daemon or `recap build` runs it.
"""

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

THREADS_VARIABLE = "RECAP_THREADS"
SHARE = 2
"""Two workers is what a build has by default: together they fill the processor."""

_CPU_INFO = Path("/proc/cpuinfo")


def torch_threads() -> int:
    """Threads of one computation: half of the cores, at least one; or what RECAP_THREADS says."""
    said = os.environ.get(THREADS_VARIABLE, "")
    if said.isascii() and said.isdigit() and int(said):
        return int(said)
    return max(1, (os.cpu_count() or 1) // SHARE)


@contextmanager
def fixed_threads() -> Iterator[None]:
    """Let torch compute with `torch_threads()` in the block; the number before comes back."""
    import torch  # noqa: PLC0415 - the graph of an experiment is made without torch

    before = torch.get_num_threads()
    torch.set_num_threads(torch_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine_facts() -> Mapping[str, str]:
    """What of this machine and process decides torch's last bits on the CPU, for the provenance."""
    import torch  # noqa: PLC0415 - the graph of an experiment is made without torch

    return {
        "recap.torch_threads": str(torch.get_num_threads()),
        "recap.torch_kernels": torch.backends.cpu.get_cpu_capability(),
        "recap.processor": _processor(),
    }


def gpu_facts(n_gpus: int | None) -> Mapping[str, str]:
    """What of the GPU decides the last bits; nothing where none is computed on.

    Args:
        n_gpus: GPUs that are asked for; None: all.
    """
    import torch  # noqa: PLC0415 - the graph of an experiment is made without torch

    if n_gpus == 0 or not torch.cuda.is_available():
        return {}
    from recap_assets.engines.devices import device_class  # noqa: PLC0415

    of_device = device_class(torch.device("cuda"))
    return {f"recap.gpu_{name}": word for name, word in of_device.items()}


def _processor() -> str:
    try:
        lines = _CPU_INFO.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
