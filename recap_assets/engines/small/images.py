"""Images of any size to the square that a tower takes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from recap_assets.engines.protocols import Image


def to_square(images: Sequence[Image], size: int) -> NDArray[np.uint8]:
    """All images at `size` x `size`, whole and stretched where they are not square.

    Stretching keeps what is at the edges, which captions name. Bilinear with antialiasing; an
    image of that size already is copied as it is.

    Returns:
        uint8, shape (n, size, size, 3).
    """
    squares = np.empty((len(images), size, size, 3), np.uint8)
    for square, image in zip(squares, images, strict=True):
        square[:] = image if image.shape[:2] == (size, size) else _resized(image, size)
    return squares


def _resized(image: Image, size: int) -> Image:
    # Whole-number reduction first: the same to the eye and several times faster on photographs.
    resized = PilImage.fromarray(image).resize(
        (size, size), PilImage.Resampling.BILINEAR, reducing_gap=2.0
    )
    return np.asarray(resized)
