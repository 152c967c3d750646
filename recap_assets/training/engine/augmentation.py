"""Small random shifts and brightness, as a function of (seed, position in the run)."""

import numpy as np
from numpy.typing import NDArray

from recap_assets.training.engine.draws import stream, uniform

MAX_SHIFT = 3
MAX_BRIGHTNESS = 0.2
_DOWN, _RIGHT, _GAIN = 11, 12, 13


def rolled(
    images: NDArray[np.uint8], rows: NDArray[np.integer], seed: int, positions: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Copies of `images[rows]`, each rolled by up to `MAX_SHIFT` pixels either way.

    Returns:
        uint8, shape (len(rows), height, width, 3).
    """
    span = 2 * MAX_SHIFT + 1
    down = (uniform(stream(seed, _DOWN), positions) * span).astype(int) - MAX_SHIFT
    right = (uniform(stream(seed, _RIGHT), positions) * span).astype(int) - MAX_SHIFT
    height, width = images.shape[1:3]
    copies = np.empty((len(rows), *images.shape[1:]), np.uint8)
    for n, (row, dy, dx) in enumerate(zip(rows, down % height, right % width, strict=True)):
        image, copy = images[row], copies[n]
        copy[dy:, dx:] = image[: height - dy, : width - dx]
        copy[dy:, :dx] = image[: height - dy, width - dx :]
        copy[:dy, dx:] = image[height - dy :, : width - dx]
        copy[:dy, :dx] = image[height - dy :, width - dx :]
    return copies


def brightness(seed: int, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """A factor on the pixels at each position, in 1 -+ `MAX_BRIGHTNESS`."""
    share = uniform(stream(seed, _GAIN), positions)
    return (1 + MAX_BRIGHTNESS * (2 * share - 1)).astype(np.float32)
