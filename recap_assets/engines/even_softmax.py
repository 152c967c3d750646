"""Softmax of rows that on CUDA all begin at an even address, so that a row's place is no matter.

A CUDA kernel reads 16 bytes at once. Of rows longer than about a thousand numbers it reads those
before the first even address one by one, and deals out the rest from there, so that the order of
sums in a row depends on where the row begins: of 51,289 numbers (Florence-2's vocabulary) every
fourth row begins evenly. With columns of -inf, which add nothing, all rows do.
"""

import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

EVEN = 16
"""Bytes that a CUDA kernel reads at once."""


def log_softmax(logits: Tensor) -> Tensor:
    """Natural-log probabilities of each row, of the shape and type of `logits` (rows, columns)."""
    return even_rows(logits).log_softmax(1)[:, : logits.shape[1]]


def softmax(logits: Tensor) -> Tensor:
    """Probabilities of each row, of the shape and type of `logits` (rows, columns)."""
    return even_rows(logits).softmax(1)[:, : logits.shape[1]]


def even_rows(logits: Tensor) -> Tensor:
    """The rows with columns of -inf up to a multiple of `EVEN` bytes; as they are off CUDA."""
    missing = -logits.shape[1] % (EVEN // logits.element_size()) if _is_read_evenly(logits) else 0
    return F.pad(logits, (0, missing), value=-float("inf")) if missing else logits


def _is_read_evenly(values: Tensor) -> bool:
    return values.is_cuda
