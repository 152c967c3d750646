"""Random augmentations whose parameters are kept, as torchvision draws and applies them.

A parameter is `[[top, left, height, width], [[operation, magnitude], [operation, magnitude]]]`, as
ml-mobileclip's `compress` writes it: of a random resized crop, and of RandAugment where it is asked
for.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

if TYPE_CHECKING:
    from recap_assets.exports.kinds.reinforced.spec import ReinforcedSpec

Crop = tuple[int, int, int, int]
Operation = tuple[int, float]
Parameters = list[Any]

OPERATIONS = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color",
    "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip
"""In ml-mobileclip's order: an operation is stored by its number."""

_STRENGTH = 9 / 30
"""Magnitude 9 of 31 bins, torchvision's default."""

_N_OPERATIONS = 2
_SCALE, _RATIO, _TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's images."""


def configuration(export: "ReinforcedSpec") -> bytes:
    """`--dataset-reinforcement-config` of the patched trainer."""
    size = export.size
    steps: dict[str, object] = {
        "normalize": {"mean": MEAN, "std": DEVIATION},
        "random_resized_crop": {"interpolation": "bicubic", "size": size},
        "to_rgb": {"enable": True},
        "to_tensor": {"enable": True},
    }
    if export.rand_augment:
        steps["rand_augment"] = {"enable": True, "p": 1.0}
    told = {
        "model_name": ",".join(export.teachers),
        "num_samples": export.augmentations,
        "reinforce": {"image_augmentation": steps},
    }
    return json.dumps(told, sort_keys=True, indent=1).encode()


class Draws:
    """Numbers in [0, 1), one after the other, of (seed, uid, number of the augmentation)."""

    def __init__(self, seed: int, key: str, number: int) -> None:
        self._numbers = self._drawn(f"reinforced:{seed}:{key}:{number}".encode())

    @staticmethod
    def _drawn(start: bytes) -> Iterator[float]:
        block = 0
        while True:
            digest = hashlib.blake2b(start + b":%d" % block, digest_size=64).digest()
            for at in range(0, 64, 8):
                yield (int.from_bytes(digest[at : at + 8]) >> 11) * 2.0**-53
            block += 1

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * next(self._numbers)

    def below(self, n: int) -> int:
        """One of 0 to n - 1."""
        return int(next(self._numbers) * n)


def drawn_parameters(
    export: "ReinforcedSpec", key: str, sides: tuple[int, int]
) -> Sequence[Parameters]:
    """The augmentations of an image of these sides (height, width)."""
    found: list[Parameters] = []
    for number in range(export.augmentations):
        draws = Draws(export.seed, key, number)
        parameters: Parameters = [list(_crop(draws, *sides))]
        if export.rand_augment:
            parameters.append([list(_operation(draws, export.size)) for _ in range(_N_OPERATIONS)])
        found.append(parameters)
    return found


def _crop(draws: Draws, height: int, width: int) -> Crop:
    """As torchvision's RandomResizedCrop: a tenth to all of the area, 3:4 to 4:3."""
    area, ratios = height * width, [math.log(one) for one in _RATIO]
    for _ in range(_TRIES):
        part = area * draws.between(*_SCALE)
        ratio = math.exp(draws.between(*ratios))
        w, h = round(math.sqrt(part * ratio)), round(math.sqrt(part / ratio))
        if 0 < w <= width and 0 < h <= height:
            return draws.below(height - h + 1), draws.below(width - w + 1), h, w
    # Where nothing fits: the whole, or the middle of an elongated image.
    ratio = width / height
    w = min(width, round(height * _RATIO[1])) if ratio > _RATIO[1] else width
    h = min(height, round(width / _RATIO[0])) if ratio < _RATIO[0] else height
    return (height - h) // 2, (width - w) // 2, h, w


def _operation(draws: Draws, size: int) -> Operation:
    """As torchvision's RandAugment: one of fourteen, at magnitude 9, of either sign."""
    number = draws.below(len(OPERATIONS))
    magnitude, is_signed = _magnitude(OPERATIONS[number], size)
    negative = is_signed and draws.below(2)
    return number, -magnitude if negative else magnitude


def _magnitude(operation: str, size: int) -> tuple[float, bool]:
    signed = {
        "ShearX": 0.3, "ShearY": 0.3, "TranslateX": 150 / 331 * size,
        "TranslateY": 150 / 331 * size, "Rotate": 30.0, "Brightness": 0.9, "Color": 0.9,
        "Contrast": 0.9, "Sharpness": 0.9,
    }  # fmt: skip
    if operation in signed:
        return signed[operation] * _STRENGTH, True
    return {"Posterize": 7.0, "Solarize": 255 * (1 - _STRENGTH)}.get(operation, 0.0), False


def augmented(image: NDArray[np.uint8], parameters: Parameters, size: int) -> NDArray[np.uint8]:
    """The image after an augmentation, shape (size, size, 3)."""
    (top, left, height, width), *operations = parameters
    box = (left, top, left + width, top + height)
    found = PIL.Image.fromarray(image).crop(box).resize((size, size), PIL.Image.Resampling.BICUBIC)
    for number, magnitude in operations[0] if operations else ():
        found = _applied(found, OPERATIONS[number], magnitude)
    return np.asarray(found)


def _applied(image: PIL.Image.Image, operation: str, magnitude: float) -> PIL.Image.Image:
    # The very function that the loader calls.
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.autoaugment import (
        _apply_op,  # pyright: ignore[reportPrivateUsage]
    )

    return _apply_op(image, operation, magnitude, InterpolationMode.NEAREST, None)  # type: ignore[return-value,arg-type]
