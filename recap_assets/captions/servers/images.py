"""Images made small for a server."""

import os

import numpy as np
import simplejpeg
from PIL import Image as PillowImage

from recap_assets.engines.protocols import Image

ENCODERS = min(8, os.cpu_count() or 1)
"""Threads that make images small and encode them, ahead of the requests."""

_MAX_SIDE = 16_384
"""Pixels; a JPEG's side ends at 65,535."""


def small_jpeg(image: Image, max_pixels: int, quality: int) -> bytes:
    """The image as a JPEG of at most `max_pixels`, its shape kept as well as whole pixels allow.

    Args:
        image: RGB of shape (height, width, 3).
        max_pixels: The budget; an image within it keeps its size.
        quality: Of the JPEG, 1 to 100; colour is kept at half the resolution.
    """
    rows = np.ascontiguousarray(made_small(image, max_pixels))
    return simplejpeg.encode_jpeg(rows, quality=quality, colorsubsampling="420")


def made_small(image: Image, max_pixels: int) -> Image:
    """The image with at most `max_pixels`, its shape kept as well as whole pixels allow."""
    size = fitted(image.shape[1], image.shape[0], max_pixels)
    if size == (image.shape[1], image.shape[0]):
        return image
    # The gap lets a much larger image be reduced by whole factors first, which is quick.
    whole = PillowImage.fromarray(image)
    return np.asarray(whole.resize(size, PillowImage.Resampling.BICUBIC, reducing_gap=3.0))


def fitted(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """The largest (width, height) of about the same shape with at most `max_pixels`."""
    scale = min((max_pixels / (width * height)) ** 0.5, _MAX_SIDE / max(width, height))
    if scale >= 1:
        return width, height
    # Of a strip thinner than a pixel one pixel is left, and the other side keeps the budget.
    short = max(1, int(min(width, height) * scale))
    long = min(int(max(width, height) * scale), max_pixels // short)
    return (long, short) if width >= height else (short, long)
