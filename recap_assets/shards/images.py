"""Decoding images that come from strangers, and recognising the same picture again.

Every image is checked by its header before a pixel is decoded, so that a file of a few kilobytes
cannot claim gigabytes. JPEG goes through simplejpeg, the other formats through Pillow.
"""

import io
from collections.abc import Callable
from functools import lru_cache
from math import ceil, isqrt

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from recap_assets.shards.image_headers import (
    IMAGE_REASONS,
    ImageFacts,
    ImageReason,
    ImageRejected,
    is_baseline,
    read_header,
)
from recap_assets.specs.pool import ImageLimits

__all__ = [
    "HASH_SIDE", "IMAGE_REASONS", "MAX_DECODED_PIXELS", "ImageFacts", "ImageReason",
    "ImageRejected", "decode", "image_facts", "matches_within", "perceptual_hash",
    "perceptual_hash_of",
]  # fmt: skip

HASH_SIDE = 64
"""Images are decoded to at least this side for the perceptual hash."""

MAX_HASHED_SIDE = 1_024
"""Longer sides are averaged down first: the filter's matrix grows with the side."""

MAX_DECODED_PIXELS = 2**22
"""An image of more comes reduced: models see a few hundred pixels a side, and a photograph of 89
megapixels takes 270 MB. By a rule on the image alone, so that it is the same in any batch."""

MAX_SIDE = 2**20
"""A row takes Pillow some 12 bytes beside its pixels, a gigabyte where each has one pixel."""

MAX_JPEG_SCANS = 1_000
MAX_SCANNED_PIXELS = 6 * 10**9
"""Scans times pixels of one JPEG, some seconds: an encoder writes about ten scans."""

BAND_PIXELS = 2**21
"""Large images become RGB band by band, which bounds what is held beside the image itself."""


def image_facts(data: bytes, limits: ImageLimits) -> ImageFacts:
    """Format, width and height from the header, checked against the limits; decodes nothing.

    Raises:
        ImageRejected: With any reason of IMAGE_REASONS.
    """
    if not data:
        raise ImageRejected("zero_bytes")
    if len(data) > limits.max_bytes:
        raise ImageRejected("too_large", f"{len(data)} bytes, at most {limits.max_bytes}")
    facts = read_header(data)
    _check_size(facts.width, facts.height, limits)
    return facts


def decode(data: bytes, limits: ImageLimits, min_side: int | None = None) -> NDArray[np.uint8]:
    """Decode to RGB, shape (height, width, 3). The first frame of an animation; alpha over white.

    Pixels are turned as the EXIF orientation says, as browsers show them: img2dataset leaves pixels
    and tag alone where it does not encode again. An image of more than MAX_DECODED_PIXELS comes
    reduced to at most that.

    Args:
        data: The encoded image.
        limits: Bounds, checked on the header before decoding.
        min_side: Where given, the image may come smaller, but no side below this if it was not:
            JPEG is scaled in the DCT domain, other formats by whole factors.

    Raises:
        ImageRejected: With any reason of IMAGE_REASONS.
    """
    return _decode(data, image_facts(data, limits), limits, min_side, MAX_DECODED_PIXELS)


def perceptual_hash(image: NDArray[np.uint8]) -> int:
    """64-bit DCT hash of an RGB image, as a signed integer.

    The image is reduced to 32x32 grey levels by a Lanczos filter; of their two-dimensional DCT the
    8x8 lowest frequencies (the mean included) give a bit each: above their median or not, row by
    row, the first bit highest. The steps are those of `imagehash.phash`, but for its rounding to
    whole grey levels in between. Ties, as in a flat image, count as not above.
    """
    if max(image.shape) > MAX_HASHED_SIDE:
        height, width = (min(side, MAX_HASHED_SIDE) for side in image.shape[:2])
        reduced = Image.fromarray(image).resize((width, height), Image.Resampling.BOX)
        image = np.asarray(reduced)
    height, width, _ = image.shape
    rows = _frequencies(height) @ image.reshape(height, width * 3).astype(np.float64)
    low = (rows.reshape(8, width, 3) @ _LUMA @ _frequencies(width).T).ravel()
    ordered = low.copy()
    ordered.sort()
    # A flat image leaves nothing but the rounding errors of the sums.
    bits = low - (ordered[31] + ordered[32]) / 2 > 1e-6
    return int.from_bytes(np.packbits(bits).tobytes(), "big", signed=True)


def perceptual_hash_of(data: bytes, limits: ImageLimits, facts: ImageFacts | None = None) -> int:
    """The hash that the pool's index holds: of the image decoded to at least HASH_SIDE.

    Compare like with like: the hash of the same image decoded in full differs, of 2,000 photographs
    by up to 2 bits, and of 1,408 screenshots and charts by up to 27.

    Args:
        data: The encoded image.
        limits: Bounds, checked on the header before decoding.
        facts: What `image_facts` says of the same data and limits, where it is known already.

    Raises:
        ImageRejected: With any reason of IMAGE_REASONS.
    """
    return perceptual_hash(_decode(data, facts or image_facts(data, limits), limits, HASH_SIDE))


def matches_within(
    hashes: NDArray[np.int64], others: NDArray[np.int64], distance: int
) -> NDArray[np.int64]:
    """All pairs whose hashes differ in at most `distance` bits.

    Works in blocks of about 4 million comparisons: memory is bounded but for the answer.

    Returns:
        Shape (n_pairs, 2): positions in `hashes` and in `others`, in ascending order.
    """
    left = np.ascontiguousarray(hashes, dtype=np.int64).view(np.uint64)
    right = np.ascontiguousarray(others, dtype=np.int64).view(np.uint64)
    if not len(left) or not len(right):
        return np.empty((0, 2), dtype=np.int64)
    columns = min(len(right), 2**16)
    rows = max(1, 2**22 // columns)
    found: list[NDArray[np.intp]] = []
    for i in range(0, len(left), rows):
        for j in range(0, len(right), columns):
            differing = np.bitwise_count(left[i : i + rows, None] ^ right[None, j : j + columns])
            at, of = np.nonzero(differing <= distance)
            found.append(np.stack([at + i, of + j], axis=1))
    pairs = np.concatenate(found).astype(np.int64)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


_DCT: NDArray[np.float64] = np.cos(
    np.pi * np.arange(8)[:, None] * (2 * np.arange(32)[None, :] + 1) / 64
)


_LUMA: NDArray[np.float64] = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as Pillow has it


@lru_cache(maxsize=512)
def _frequencies(length: int) -> NDArray[np.float64]:
    """Matrix (8, length): Lanczos reduction of `length` pixels to 32, then their DCT."""
    scale = max(1.0, length / 32)
    centres = (np.arange(32) + 0.5) * length / 32
    x = (np.arange(length) + 0.5 - centres[:, None]) / scale
    weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
    return _DCT @ (weights / weights.sum(axis=1, keepdims=True))


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    if width * height > limits.max_pixels:
        raise ImageRejected("bomb", f"{width}x{height}, at most {limits.max_pixels} pixels")
    if max(width, height) > MAX_SIDE:
        raise ImageRejected("bomb", f"{width}x{height}, at most {MAX_SIDE} on a side")
    if min(width, height) < 1:
        raise ImageRejected("undecodable", "a side of no pixels")
    if min(width, height) < limits.min_side:
        raise ImageRejected("too_small", f"{width}x{height}, at least {limits.min_side}")


def _decode(
    data: bytes,
    facts: ImageFacts,
    limits: ImageLimits,
    min_side: int | None,
    max_pixels: int | None = None,
) -> NDArray[np.uint8]:
    """The one border to the decoders: whatever they raise is said of this image alone."""
    try:
        if facts.format == "JPEG":
            pixels = _decode_jpeg(data, facts, limits, min_side, max_pixels)
        else:
            _CHECK_COMPLETE[facts.format](data)
            pixels = _decode_with_pillow(data, facts.format, limits, min_side, max_pixels)
    except ImageRejected:
        raise
    except Image.DecompressionBombError as error:
        raise ImageRejected("bomb", str(error)) from error
    except MemoryError as error:
        _check_memory(facts, error)
        raise ImageRejected("undecodable", "it asks for more memory than its size does") from error
    except Exception as error:  # an AssertionError, KeyError or struct.error is as good a refusal
        reason = "truncated_image" if "truncated" in str(error).lower() else "undecodable"
        raise ImageRejected(reason, str(error) or type(error).__name__) from error
    return _upright(pixels, facts.orientation)


def _check_memory(facts: ImageFacts, error: MemoryError) -> None:
    """Raise it where the machine has no room for such an image: the image is not to blame."""
    try:
        bytearray(8 * facts.width * facts.height)
    except MemoryError:
        raise error from None


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Stored pixels as they are shown (EXIF 2.32, tag 0x0112)."""
    if orientation == 1:
        return pixels
    if orientation in {3, 4, 6, 7}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 7, 8}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels.swapaxes(0, 1) if orientation >= 5 else pixels)


def _decode_jpeg(
    data: bytes,
    facts: ImageFacts,
    limits: ImageLimits,
    min_side: int | None,
    max_pixels: int | None,
) -> NDArray[np.uint8]:
    # Each scan of a progressive file costs a pass over all its pixels.
    n_scans = data.count(b"\xff\xda")
    if n_scans > MAX_JPEG_SCANS or n_scans * facts.width * facts.height > MAX_SCANNED_PIXELS:
        raise ImageRejected("bomb", "too many scans")
    height, width = _least_sides(facts, min_side, max_pixels)
    try:
        return simplejpeg.decode_jpeg(data, min_height=height, min_width=width)
    except ValueError as error:
        text = str(error)
        if "Premature end of JPEG" in text:
            return _without_end_mark(data, height, width, error)
        if "Corrupt JPEG data" in text and "extraneous" not in text:
            raise ImageRejected("undecodable", text) from error
    return _decode_with_pillow(data, "JPEG", limits, min_side, max_pixels)


def _least_sides(
    facts: ImageFacts, min_side: int | None, max_pixels: int | None
) -> tuple[int, int]:
    """Height and width, as stored, that the JPEG's scale in eighths is chosen by."""
    width, height = facts.width, facts.height
    if facts.orientation >= 5:
        width, height = height, width
    if max_pixels is None or min_side or width * height <= max_pixels:
        return min_side or 0, min_side or 0
    scaled = ((ceil(height * k / 8), ceil(width * k / 8)) for k in range(7, 0, -1))
    return next((sides for sides in scaled if sides[0] * sides[1] <= max_pixels), (1, 1))


def _without_end_mark(data: bytes, height: int, width: int, error: ValueError) -> NDArray[np.uint8]:
    """The image of a JPEG that lacks its end mark and nothing else."""
    # Passes that are missing from a progressive file would not be noticed.
    if is_baseline(data):
        ended = data.removesuffix(b"\xff") + b"\xff\xd9"
        try:
            return simplejpeg.decode_jpeg(ended, min_height=height, min_width=width)
        except ValueError:
            pass
    raise ImageRejected("truncated_image", str(error)) from error


def _decode_with_pillow(
    data: bytes,
    image_format: str,
    limits: ImageLimits,
    min_side: int | None,
    max_pixels: int | None,
) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=[image_format]) as image:
        # A GIF's first frame may be larger than the screen that its header gives.
        _check_size(image.width, image.height, limits)
        image.load()
        factor = min(image.size) // min_side if min_side else 1
        if max_pixels is not None:
            factor = max(factor, _factor_to(max_pixels, *image.size))
        return _reduced_rgb(image, max(1, factor))


def _factor_to(max_pixels: int, width: int, height: int) -> int:
    """The least whole factor that takes an image to at most `max_pixels`."""
    factor = max(1, isqrt(max(0, width * height - 1) // max_pixels))
    while ceil(width / factor) * ceil(height / factor) > max_pixels:
        factor += 1
    return factor


def _reduced_rgb(image: Image.Image, factor: int) -> NDArray[np.uint8]:
    """RGB, averaged down by a whole factor; the same whether by bands or at once."""
    if image.width * image.height <= BAND_PIXELS:
        return np.array(_rgb_and_reduced(image, factor), dtype=np.uint8)
    shape = (ceil(image.height / factor), ceil(image.width / factor), 3)
    pixels = np.empty(shape, dtype=np.uint8)
    rows = max(1, BAND_PIXELS // (image.width * factor))
    for start in range(0, shape[0], rows):
        bottom = min(image.height, (start + rows) * factor)
        band = image.crop((0, start * factor, image.width, bottom))
        pixels[start : start + rows] = np.asarray(_rgb_and_reduced(band, factor))
    return pixels


def _rgb_and_reduced(image: Image.Image, factor: int) -> Image.Image:
    if image.mode in {"1", "L"} and not image.has_transparency_data:
        # Of three equal channels one is enough until the end.
        grey = image.convert("L")
        return (grey.reduce(factor) if factor > 1 else grey).convert("RGB")
    rgb = _to_rgb(image)
    return rgb.reduce(factor) if factor > 1 else rgb


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # convert() would clip 16-bit grey at 255 and not scale it.
        grey = np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _check_png_complete(data: bytes) -> None:
    end = data.rfind(b"IEND")
    if end < 0 or end + 8 > len(data):
        raise ImageRejected("truncated_image", "no IEND")


def _check_webp_complete(data: bytes) -> None:
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise ImageRejected("truncated_image", "shorter than its RIFF header says")


def _check_gif_complete(data: bytes) -> None:
    """Walk the blocks to the trailer: decoding the first frame does not see a later cut.

    Of a file that ends behind a whole frame nothing but the trailer is missing.
    """
    at, n_frames = 13 + _colour_table(data[10]) if len(data) > 10 else 13, 0
    try:
        while (n_frames == 0 or at < len(data)) and data[at] != 0x3B:
            if data[at] == 0x21:
                at += 2
            elif data[at] == 0x2C:
                at += 11 + _colour_table(data[at + 9])
                n_frames += 1
            else:
                raise ImageRejected("undecodable", "GIF with an unknown block")
            while data[at]:
                at += data[at] + 1
            at += 1
    except IndexError as error:
        raise ImageRejected("truncated_image", "it ends within a block") from error


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


_CHECK_COMPLETE: dict[str, Callable[[bytes], None]] = {
    "PNG": _check_png_complete,
    "WEBP": _check_webp_complete,
    "GIF": _check_gif_complete,
}
