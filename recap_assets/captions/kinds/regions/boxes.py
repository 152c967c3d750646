"""Boxes as a column has them, and what of an image is in them."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from math import ceil, floor, isfinite
from typing import Literal

from recap_assets.engines.protocols import Image

Box = tuple[int, int, int, int]
"""Left, upper, right and lower end in whole pixels; the right and lower ones are outside."""

MOST_BOXES = 250
"""Of an image that are read."""

_APART = re.compile(r"[\s,;()\[\]{}]+")


def boxes_in(
    text: str, size: tuple[int, int], corners: Literal["xyxy", "xywh"], unit: str, smallest: int
) -> Iterator[Box]:
    """The boxes within an image, in their order.

    What is no number, four of which are a box, ends them; a box that is turned around or shorter
    than `smallest` on a side is left out.

    Args:
        text: Numbers, parted by commas, spaces or brackets.
        size: Width and height of the image.
        corners: Whether the last two of a box are its end or its size.
        unit: `share` of the image's size, or `pixel`.
        smallest: Pixels.
    """
    numbers = list(_numbers(text))
    scale = size if unit == "share" else (1, 1)
    for place in range(0, len(numbers) - 3, 4):
        left, upper, right, lower = numbers[place : place + 4]
        if corners == "xywh":
            right, lower = left + right, upper + lower
        across = _within(left * scale[0], right * scale[0], size[0])
        down = _within(upper * scale[1], lower * scale[1], size[1])
        if min(across[1] - across[0], down[1] - down[0]) >= smallest:
            yield across[0], down[0], across[1], down[1]


def cut_out(image: Image, box: Box) -> Image:
    """What of an image of shape (height, width, 3) is in a box of it."""
    left, upper, right, lower = box
    return image[upper:lower, left:right].copy()


def region_uid(uid: bytes, box: Sequence[int]) -> bytes:
    """The uid of a region as an image of its own, 16 bytes."""
    place = b"".join(end.to_bytes(4, "little") for end in box)
    return hashlib.blake2b(uid + place, digest_size=16, person=b"recap region").digest()


def _numbers(text: str) -> Iterator[float]:
    for word in _APART.split(text, maxsplit=4 * MOST_BOXES + 1)[: 4 * MOST_BOXES + 1]:
        if not word:
            continue
        try:
            number = float(word)
        except ValueError:
            return
        if not isfinite(number):
            return
        yield number


def _within(low: float, high: float, size: int) -> tuple[int, int]:
    return floor(min(max(low, 0), size)), ceil(min(max(high, 0), size))
