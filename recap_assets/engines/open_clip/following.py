"""Which resizing of torchvision's a device can do as Pillow does it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import PIL.Image
import torch
from open_clip.transform import MaybeConvertMode
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from recap_assets.engines.open_clip.resampling import (
    BICUBIC,
    BILINEAR,
    Kernel,
    Plan,
    Side,
    resample,
)

_KERNELS = {InterpolationMode.BICUBIC: BICUBIC, InterpolationMode.BILINEAR: BILINEAR}
_PILLOWS = {BICUBIC: PIL.Image.Resampling.BICUBIC, BILINEAR: PIL.Image.Resampling.BILINEAR}


@dataclass(frozen=True)
class Followed:
    """A resizing with a crop from the centre, or to a given height and width.

    Attributes:
        size: Height and width of the result.
        kernel: Of the resizing.
        keeps_ratio: Whether the shorter side becomes the size, and the rest is cut off.
    """

    size: tuple[int, int]
    kernel: Kernel
    keeps_ratio: bool

    def plan(self, height: int, width: int) -> Plan:
        """How an image of this size is resized and cropped."""
        resized = self.size
        if self.keeps_ratio:
            short, wanted = min(height, width), self.size[0]
            resized = (int(wanted * height / short), int(wanted * width / short))
        rows, columns = (
            Side(source, to, round((to - wanted) / 2.0))
            for source, to, wanted in zip((height, width), resized, self.size, strict=True)
        )
        return Plan(rows, columns)


def followed(geometry: Sequence[object]) -> Followed | None:
    """The resizing of open_clip's transform; None where it is another, or Pillow's has changed."""
    match [step for step in geometry if not isinstance(step, MaybeConvertMode)]:
        case [Resize(size=int() as short) as resize, CenterCrop(size=(height, width))]:
            found = _of(resize, (height, width)) if height == width == short else None
        case [Resize(size=(int() as height, int() as width)) as resize]:
            found = _of(resize, (height, width))
        case _:
            found = None
    return found if found and is_as_pillow(found.kernel) else None


def _of(resize: Resize, size: tuple[int, int]) -> Followed | None:
    kernel = _KERNELS.get(resize.interpolation)
    if kernel is None or resize.max_size is not None:
        return None
    return Followed(size, kernel, isinstance(resize.size, int))


@cache
def is_as_pillow(kernel: Kernel) -> bool:
    """Whether the Pillow that is installed gives the pixels of `resample`, by a small trial.

    Versions before 13 always resize the rows first, and so differ for tall images.
    """
    rng = np.random.default_rng(0)
    sizes = [((40, 31), (17, 13)), ((9, 14), (25, 30)), ((61, 20), (23, 17)), ((20, 61), (17, 23))]
    for (height, width), (rows, columns) in sizes:
        image = rng.integers(0, 2, (height, width, 3), dtype=np.uint8) * 255
        picture = PIL.Image.fromarray(image).resize((columns, rows), _PILLOWS[kernel])
        plan = Plan(Side(height, rows, 0), Side(width, columns, 0))
        ours = resample(torch.from_numpy(image.reshape(-1, 3)), [plan], (rows, columns), kernel)
        if not np.array_equal(np.asarray(picture), ours[0].numpy()):
            return False
    return True
