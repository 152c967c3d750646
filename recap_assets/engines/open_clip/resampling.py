"""Pillow's resizing of uint8 images as integer arithmetic on a device: the same pixels, every one.

Pillow weighs source pixels by a kernel that is stretched where an image shrinks, in two passes:
along the rows, then along the columns. Its weights are whole numbers, `2**22` for one, and each
pass ends in a rounding to uint8 (src/libImaging/Resample.c). Sums of whole numbers have no order,
so every device gives the same. Images of all sizes lie one after the other in one buffer; what is
outside the crop is never computed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

_BITS = 22
_HALF = 1 << (_BITS - 1)

VALUES_AT_ONCE = 2**24
"""Pixels of one pass computed together: about 0.8 GB on the device."""


@dataclass(frozen=True)
class Kernel:
    """A resampling kernel.

    Attributes:
        radius: Beyond it a source pixel has no weight, in source pixels, or in output pixels where
            the image shrinks.
        weight: By the distance from the centre, float64.
    """

    radius: float
    weight: Callable[[Tensor], Tensor]


def _cubic(distance: Tensor) -> Tensor:
    x = distance.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


BICUBIC = Kernel(2.0, _cubic)
BILINEAR = Kernel(1.0, lambda distance: (1 - distance.abs()).clamp(min=0))


class Side(NamedTuple):
    """One side of an image on its way to the model.

    Attributes:
        source: Pixels before.
        resized: Pixels after.
        first: Of those the first that the crop takes.
    """

    source: int
    resized: int
    first: int


class Plan(NamedTuple):
    """How an image is resized and cropped, by its rows (height) and its columns (width)."""

    rows: Side
    columns: Side


class _Taps(NamedTuple):
    """Which source pixels make which output pixel.

    Attributes:
        first: Shape (n, size), int64: the first source pixel of each output pixel.
        last: Likewise, the one after the last.
        weights: Shape (n, size, taps), int32; 0 beyond the last.
    """

    first: Tensor
    last: Tensor
    weights: Tensor


def n_taps(side: Side, kernel: Kernel) -> int:
    """Source pixels that one output pixel may be made of."""
    stretched = kernel.radius * max(side.source / side.resized, 1.0)
    return int(-(-stretched // 1)) * 2 + 1


def resample(
    pixels: Tensor, plans: Sequence[Plan], size: tuple[int, int], kernel: Kernel
) -> Tensor:
    """Resize and crop images as Pillow does.

    Args:
        pixels: The images one after the other, uint8 of shape (pixels of all, 3).
        plans: One per image, in their order; its crop is within the resized image.
        size: Height and width of the crop.
        kernel: BICUBIC or BILINEAR.

    Returns:
        uint8, shape (n, height, width, 3), on the device of `pixels`.
    """
    counts = [plan.rows.source * plan.columns.source for plan in plans]
    starts = torch.tensor([0, *counts[:-1]]).cumsum(0)
    made = torch.empty((len(plans), *size, 3), dtype=torch.uint8, device=pixels.device)
    for numbers in _alike(plans, size, kernel):
        chosen = [plans[number] for number in numbers]
        place = torch.tensor(numbers, device=pixels.device)
        made[place] = _resampled(pixels, starts[numbers], chosen, size, kernel)
    return made


def _is_columns_first(plan: Plan) -> bool:
    """Whether the columns are resized first; Pillow decides so from version 13 on."""
    lost = plan.rows.source - plan.rows.resized
    return lost > max(0, 2 * (plan.columns.source - plan.columns.resized))


def _alike(plans: Sequence[Plan], size: tuple[int, int], kernel: Kernel) -> list[list[int]]:
    """Numbers of images computed together: of one order, of similar taps, of bounded memory."""

    def kind(number: int) -> tuple[bool, int]:
        plan = plans[number]
        return _is_columns_first(plan), max(n_taps(side, kernel) for side in plan)

    groups: list[list[int]] = []
    left, most = 0, (False, 0)
    for number in sorted(range(len(plans)), key=kind):
        columns_first, taps = kind(number)
        rows, columns = plans[number]
        values = size[0] * columns.source if columns_first else size[1] * rows.source
        if values > left or (columns_first, taps) > most:
            groups.append([])
            left, most = VALUES_AT_ONCE, (columns_first, taps * 3 // 2)
        groups[-1].append(number)
        left -= values
    return groups


def _resampled(
    pixels: Tensor, starts: Tensor, plans: Sequence[Plan], size: tuple[int, int], kernel: Kernel
) -> Tensor:
    """Images of one order; the columns first is the rows first of the transposed images."""
    device, turned = pixels.device, _is_columns_first(plans[0])
    sides = [plan[::-1] if turned else plan for plan in plans]
    down = _taps([side for side, _ in sides], size[turned], kernel, device)
    across = _taps([side for _, side in sides], size[not turned], kernel, device)
    lengths = torch.tensor([side.source for _, side in sides], device=device)
    top = down.first[:, 0]
    heights = down.last[:, -1] - top
    ends = heights.cumsum(0)
    owner = torch.repeat_interleave(torch.arange(len(plans), device=device), heights)
    line = torch.arange(len(owner), device=device) - (ends - heights - top)[owner]
    steps = (
        torch.ones_like(lengths),
        torch.tensor([plan.columns.source for plan in plans]).to(lengths),
    )
    along, beside = steps[turned][owner], steps[not turned][owner]
    base, most = starts.to(device)[owner] + line * beside, lengths[owner, None] - 1
    first = across.first[owner]

    def source(tap: int) -> Tensor:
        return base[:, None] + (first + tap).minimum(most) * along[:, None]

    strips = _weighed(pixels, source, across.weights[owner])
    place = down.first + (ends - heights - top)[:, None]
    made = _weighed(strips, lambda tap: (place + tap).minimum(ends[:, None] - 1), down.weights)
    return made.transpose(1, 2) if turned else made


def _weighed(rows: Tensor, at: Callable[[int], Tensor], weights: Tensor) -> Tensor:
    """Sums of `rows[at(tap)]` by `weights[..., tap]`, rounded to uint8."""
    total: Tensor | None = None
    for tap in range(weights.shape[-1]):
        values = rows[at(tap)].to(torch.int32)
        weight = weights[..., tap].view(
            *weights.shape[:-1], *[1] * (values.dim() - weights.dim() + 1)
        )
        if total is None:
            total = torch.full_like(values, _HALF)
        total.addcmul_(values, weight)
    assert total is not None, "a kernel has a tap"  # noqa: S101 - for the type checker
    return (total >> _BITS).clamp_(0, 255).to(torch.uint8)


def _taps(sides: Sequence[Side], size: int, kernel: Kernel, device: torch.device) -> _Taps:
    """The weights of Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc`, in float64."""
    source, resized, first = (
        torch.tensor(values, dtype=torch.float64, device=device)[:, None]
        for values in zip(*sides, strict=True)
    )
    scale = source / resized
    stretch = scale.clamp(min=1.0)
    centre = (first + torch.arange(size, device=device) + 0.5) * scale
    support = kernel.radius * stretch
    low = (centre - support + 0.5).trunc().clamp_(min=0)
    high = (centre + support + 0.5).trunc().minimum(source)
    steps = torch.arange(max(n_taps(side, kernel) for side in sides), device=device)
    inverse = torch.ones_like(stretch) / stretch
    distance = (steps + low[..., None] - centre[..., None] + 0.5) * inverse[..., None]
    weights = torch.where(steps < (high - low)[..., None], kernel.weight(distance), 0.0)
    weights = weights / _in_order(weights)[..., None]
    weights = weights * (1 << _BITS)
    whole = (weights + torch.where(weights < 0, -0.5, 0.5)).trunc()
    return _Taps(low.long(), high.long(), whole.to(torch.int32))


def _in_order(values: Tensor) -> Tensor:
    """Sums over the last axis, one after the other as C adds them up."""
    total = torch.zeros_like(values[..., 0])
    for step in range(values.shape[-1]):
        total = total + values[..., step]
    return total
