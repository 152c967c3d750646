"""Small copies of images: what pages show is encoded again, never the pool's own bytes."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_SIDE = 224
"""Pixels of the longer side, where nothing else is asked for."""

MOST_ON_SHEET = 12
ON_A_LINE = 6
GAP = 2
SHEET_BYTES = 10_240
"""Of a contact sheet; Dagster keeps it with every event that shows one."""

SHEET_SIDE = 64
"""Pixels of an image on it, if all of them are not too much."""

_TRIED = ((SHEET_SIDE, 72), (SHEET_SIDE, 45), (48, 40), (32, 35), (24, 25))
"""Side of an image and quality of the JPEG, the best first."""

_PAPER = (236, 236, 232)


def thumbnail(image: NDArray[np.uint8], side: int = THUMBNAIL_SIDE) -> bytes:
    """A small JPEG.

    Args:
        image: RGB of shape (height, width, 3).
        side: Pixels of the longer side at most.
    """
    return _jpeg(_reduced(image, side), 88)


def contact_sheet(images: Sequence[NDArray[np.uint8]]) -> bytes | None:
    """The first MOST_ON_SHEET images on one JPEG of at most SHEET_BYTES; None without images.

    Args:
        images: RGB of shape (height, width, 3).
    """
    shown = images[:MOST_ON_SHEET]
    if not shown:
        return None
    for side, quality in _TRIED:
        sheet = _jpeg(_laid_out([_reduced(image, side) for image in shown], side), quality)
        if len(sheet) <= SHEET_BYTES:
            return sheet
    return None


def _laid_out(images: Sequence[Image.Image], side: int) -> Image.Image:
    """In lines of ON_A_LINE, each in the middle of its square."""
    step = side + GAP
    n_lines = -(-len(images) // ON_A_LINE)
    sheet = Image.new("RGB", (ON_A_LINE * step - GAP, n_lines * step - GAP), _PAPER)
    for number, image in enumerate(images):
        line, at = divmod(number, ON_A_LINE)
        x, y = at * step + (side - image.width) // 2, line * step + (side - image.height) // 2
        sheet.paste(image, (x, y))
    return sheet


def _reduced(image: NDArray[np.uint8], side: int) -> Image.Image:
    small = Image.fromarray(image)
    small.thumbnail((side, side))
    return small


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
