"""Decoding images that come from strangers, and recognising the same picture again.

Every image is judged by its header before a pixel is decoded, so that a file of a few kilobytes
cannot claim gigabytes. JPEG goes through simplejpeg, the other formats through Pillow.
"""

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from recap_assets.specs.pool import ImageLimits

ImageReason = Literal[
    "zero_bytes", "too_large", "unknown_format", "undecodable", "truncated_image", "bomb",
    "too_small",
]  # fmt: skip
IMAGE_REASONS: frozenset[str] = frozenset(get_args(ImageReason))
"""zero_bytes: empty. too_large: more than max_bytes. unknown_format: not JPEG, PNG, GIF or WEBP by
content. bomb: the header claims more than max_pixels, or a JPEG has more than 1,000 scans.
too_small: a side below min_side. truncated_image: the file ends before the format says it does.
undecodable: anything else that a decoder refuses."""

HASH_SIDE = 64
"""Images are decoded to at least this side for the perceptual hash."""

MAX_HASHED_SIDE = 1_024
"""Longer sides are averaged down first: the filter's matrix grows with the side."""

MAX_JPEG_SCANS = 1_000


class ImageRejected(ValueError):  # noqa: N818 - a verdict on data, not a failure
    """This image is set aside; `reason` is one of IMAGE_REASONS."""

    def __init__(self, reason: ImageReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: ImageReason = reason


class ImageFacts(NamedTuple):
    """What the header says: the format by content, width and height in pixels."""

    format: Literal["JPEG", "PNG", "GIF", "WEBP"]
    width: int
    height: int


def image_facts(data: bytes, limits: ImageLimits) -> ImageFacts:
    """Format, width and height from the header, checked against the limits; decodes nothing.

    Raises:
        ImageRejected: With any reason of IMAGE_REASONS.
    """
    if not data:
        raise ImageRejected("zero_bytes")
    if len(data) > limits.max_bytes:
        raise ImageRejected("too_large", f"{len(data)} bytes, at most {limits.max_bytes}")
    facts = _read_header(data)
    _check_size(facts.width, facts.height, limits)
    return facts


def decode(data: bytes, limits: ImageLimits, min_side: int | None = None) -> NDArray[np.uint8]:
    """Decode to RGB, shape (height, width, 3). The first frame of an animation; alpha over white.

    EXIF orientation is not applied: img2dataset's shards hold pixels as they are shown.

    Args:
        data: The encoded image.
        limits: Bounds, checked on the header before decoding.
        min_side: Where given, the image may come smaller, but no side below this if it was not:
            JPEG is scaled in the DCT domain, other formats by whole factors.

    Raises:
        ImageRejected: With any reason of IMAGE_REASONS.
    """
    return _decode(data, image_facts(data, limits), limits, min_side)


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
    ordered = np.sort(low)
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


def hamming(a: int, b: int) -> int:
    """Number of bits in which two 64-bit hashes differ, 0 to 64."""
    return ((a ^ b) & 0xFFFFFFFFFFFFFFFF).bit_count()


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
    if min(width, height) < 1:
        raise ImageRejected("undecodable", "a side of no pixels")
    if min(width, height) < limits.min_side:
        raise ImageRejected("too_small", f"{width}x{height}, at least {limits.min_side}")


def _read_header(data: bytes) -> ImageFacts:
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg_header(data)
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            if data[12:16] not in (b"IHDR", b""):
                raise ImageRejected("undecodable", "PNG without IHDR")
            width, height = struct.unpack_from(">II", data, 16)
            return ImageFacts("PNG", width, height)
        if data.startswith((b"GIF87a", b"GIF89a")):
            width, height = struct.unpack_from("<HH", data, 6)
            return ImageFacts("GIF", width, height)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp_header(data)
    except (struct.error, IndexError) as error:
        raise ImageRejected("truncated_image", "the header is cut") from error
    raise ImageRejected("unknown_format", f"starts with {data[:8].hex()}")


def _jpeg_header(data: bytes) -> ImageFacts:
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        reason = "undecodable" if _reaches_scan(data) else "truncated_image"
        raise ImageRejected(reason, str(error)) from error
    return ImageFacts("JPEG", int(width), int(height))


def _reaches_scan(data: bytes) -> bool:
    """Whether the marker segments of a JPEG lead to a scan, or to what is no marker."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF or data[at + 1] == 0xDA:
            return True
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _webp_header(data: bytes) -> ImageFacts:
    kind = data[12:16]
    if kind == b"VP8X":
        if len(data) < 30:
            raise ImageRejected("truncated_image", "the header is cut")
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    elif len(kind) < 4:
        raise ImageRejected("truncated_image", "the header is cut")
    else:
        raise ImageRejected("undecodable", "WEBP without an image chunk")
    return ImageFacts("WEBP", width, height)


def _decode(
    data: bytes, facts: ImageFacts, limits: ImageLimits, min_side: int | None
) -> NDArray[np.uint8]:
    if facts.format == "JPEG":
        return _decode_jpeg(data, limits, min_side)
    _CHECK_COMPLETE[facts.format](data)
    return _decode_with_pillow(data, facts.format, limits, min_side)


def _decode_jpeg(data: bytes, limits: ImageLimits, min_side: int | None) -> NDArray[np.uint8]:
    # Each scan of a progressive file costs a pass over all its pixels.
    if data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise ImageRejected("bomb", "too many scans")
    side = min_side or 0
    try:
        return simplejpeg.decode_jpeg(data, min_height=side, min_width=side)
    except ValueError as error:
        text = str(error)
        if "Premature end of JPEG" in text:
            raise ImageRejected("truncated_image", text) from error
        if "Corrupt JPEG data" in text and "extraneous" not in text:
            raise ImageRejected("undecodable", text) from error
    return _decode_with_pillow(data, "JPEG", limits, min_side)


def _decode_with_pillow(
    data: bytes, image_format: str, limits: ImageLimits, min_side: int | None
) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=[image_format]) as image:
            # A GIF's first frame may be larger than the screen that its header gives.
            _check_size(image.width, image.height, limits)
            image.load()
            rgb = _to_rgb(image)
    except Image.DecompressionBombError as error:
        raise ImageRejected("bomb", str(error)) from error
    except ImageRejected:
        raise
    except (OSError, ValueError, SyntaxError, struct.error, EOFError, IndexError) as error:
        reason = "truncated_image" if "truncated" in str(error).lower() else "undecodable"
        raise ImageRejected(reason, str(error)) from error
    factor = min(rgb.size) // min_side if min_side else 1
    return np.array(rgb.reduce(factor) if factor > 1 else rgb, dtype=np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # convert() would clip 16-bit grey at 255 and not scale it.
        grey = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
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
    """Walk the blocks to the trailer: decoding the first frame does not see a later cut."""
    try:
        at = 13 + _colour_table(data[10])
        while data[at] != 0x3B:
            if data[at] == 0x21:
                at += 2
            elif data[at] == 0x2C:
                at += 11 + _colour_table(data[at + 9])
            else:
                raise ImageRejected("undecodable", "GIF with an unknown block")
            while data[at]:
                at += data[at] + 1
            at += 1
    except IndexError as error:
        raise ImageRejected("truncated_image", "no trailer") from error


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


_CHECK_COMPLETE: dict[str, Callable[[bytes], None]] = {
    "PNG": _check_png_complete,
    "WEBP": _check_webp_complete,
    "GIF": _check_gif_complete,
}
