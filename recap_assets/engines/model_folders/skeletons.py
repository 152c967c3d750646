"""A model without any memory for its weights: how large it would be, and whether they fit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from recap_assets.engines.errors import ModelFolderError
from recap_assets.engines.model_folders.weights import Weights

MAX_BUFFERS = 1 << 28
"""Numbers that a model keeps beside its weights: masks, tables of positions."""

SLACK = 1 << 20
"""Weights that a config may have and the file not: refused by name later, if at all."""

PACKED = 8
"""Weights in one number of a quantized file, at the most."""

TIED = 2
"""A matrix that is used twice may be in the file once."""

PARTS, FEW_PARTS = 100, 20_000
"""Modules, weights and buffers of a model, for a tensor in its files and beside that: each takes a
moment to make, also without memory for it."""

ModelT = TypeVar("ModelT", bound=nn.Module)
_NORMAL = (nn.init.normal_, torch.Tensor.normal_)


def check_skeleton(
    config: Path, build: Callable[[], ModelT], weights: Weights, *, is_packed: bool = False
) -> ModelT:
    """Build the model without memory (torch's meta device) and compare it with its weights.

    Args:
        config: The config's path, for the error.
        build: Makes the model.
        weights: What is on disk.
        is_packed: Whether the weights on disk hold several in one number.

    Returns:
        The model, whose weights have shapes and no numbers.

    Raises:
        ModelFolderError: It has more weights than are on disk, keeps more beside them than
            `MAX_BUFFERS`, or is made of more parts than its tensors could fill.
    """
    with without_memory(), _at_most(PARTS * weights.n_tensors + FEW_PARTS, config):
        model = build()
    n_weights = sum(weight.numel() for weight in model.parameters())
    n_kept = sum(buffer.numel() for buffer in model.buffers())
    on_disk = weights.n_elements * (PACKED if is_packed else TIED)
    if n_weights > on_disk + SLACK or n_kept > weights.n_elements + MAX_BUFFERS:
        msg = (
            f"{config}: it claims a model of {n_weights:,} weights (and {n_kept:,} numbers beside "
            f"them), and {weights.n_elements:,} are in its files. Config and weights are not of "
            "one model: download both again"
        )
        raise ModelFolderError(msg)
    return model


@contextmanager
def without_memory() -> Iterator[None]:
    """Within it models are built on torch's meta device."""
    with torch.device("meta"), _Undrawn():
        yield


def put(model: nn.Module, device: torch.device) -> torch.device:
    """Put a model on a device, but for one without memory; where it is then."""
    if any(weight.is_meta for weight in model.parameters()):
        return torch.device("meta")
    model.to(device)
    return device


class _Undrawn(TorchFunctionMode):
    """Within it no weights are drawn from a normal distribution.

    Where there is no memory, torch does that by way of its compiler, whose import takes longer than
    building most models.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401 - torch's signature
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Do what is asked, unless that is to draw."""
        del types
        if func in _NORMAL:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


@contextmanager
def _at_most(n_parts: int, config: Path) -> Iterator[None]:
    """Within it modules take no more parts than these in all."""
    left = n_parts

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            msg = (
                f"{config}: it claims a model of more than {n_parts:,} parts, and its files have "
                "too few tensors for them. Config and weights are not of one model: download both "
                "again"
            )
            raise ModelFolderError(msg)

    register = (
        register_module_module_registration_hook,
        register_module_parameter_registration_hook,
        register_module_buffer_registration_hook,
    )
    handles = [one(count) for one in register]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
