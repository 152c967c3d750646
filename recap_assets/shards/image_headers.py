"""What the header of an image from a stranger says, before anything is decoded.

Everything here walks bytes in memory, forwards only and a bounded number of steps, so that
no offset in a file can lead it in circles.
"""

import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import simplejpeg

ImageReason = Literal[
    "zero_bytes", "too_large", "unknown_format", "undecodable", "truncated_image", "bomb",
    "too_small", "unread_format: avif", "unread_format: bmp", "unread_format: heic",
    "unread_format: ico", "unread_format: jp2", "unread_format: jxl", "unread_format: svg",
    "unread_format: tiff",
]  # fmt: skip
IMAGE_REASONS: frozenset[str] = frozenset(get_args(ImageReason))
"""zero_bytes: empty. too_large: more than max_bytes. unknown_format: not JPEG, PNG, GIF or WEBP by
content. unread_format: an image of a format that is not read, by its content or, where that is
not known, by the ending of its name. bomb: the header claims more than max_pixels, or a JPEG has
more scans than MAX_JPEG_SCANS, or than its pixels allow. too_small: a side below min_side.
truncated_image: the file ends before its last pixel. undecodable: anything else that a decoder
refuses."""

IMAGE_EXTENSIONS = ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif")
"""In order of precedence, where one key has several. Three of them are JPEG by other names."""

UNREAD_EXTENSIONS: dict[str, ImageReason] = {
    "avif": "unread_format: avif", "bmp": "unread_format: bmp", "dib": "unread_format: bmp",
    "heic": "unread_format: heic", "heif": "unread_format: heic", "ico": "unread_format: ico",
    "j2k": "unread_format: jp2", "jp2": "unread_format: jp2", "jpf": "unread_format: jp2",
    "jpx": "unread_format: jp2", "jxl": "unread_format: jxl", "svg": "unread_format: svg",
    "tif": "unread_format: tiff", "tiff": "unread_format: tiff",
}  # fmt: skip
"""Endings of images that are not read, and the reason where their content does not say more."""

MAX_SEGMENTS = 10_000
"""Segments or chunks of a file that are walked in search of its orientation."""

MAX_TAGS = 1_000

_DIB_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}
_SWAPPING = range(5, 9)


class ImageRejected(ValueError):  # noqa: N818 - a verdict on data, not a failure
    """This image is set aside; `reason` is one of IMAGE_REASONS."""

    def __init__(self, reason: ImageReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: ImageReason = reason


class ImageFacts(NamedTuple):
    """What the header says.

    Attributes:
        format: By content.
        width: Pixels, as the image is shown.
        height: Pixels, as the image is shown.
        orientation: EXIF's 1 to 8: how the stored pixels are turned to be shown; 1 is not at all.
    """

    format: Literal["JPEG", "PNG", "GIF", "WEBP"]
    width: int
    height: int
    orientation: int = 1


def read_header(data: bytes) -> ImageFacts:
    """Format, size and orientation by the content; decodes nothing.

    Raises:
        ImageRejected: truncated_image, undecodable, unread_format or unknown_format.
    """
    try:
        facts = _stored_facts(data)
    except (struct.error, IndexError) as error:
        raise ImageRejected("truncated_image", "the header is cut") from error
    mark = _MARKS_OF_TAGS.get(facts.format)
    # Few images have the tag, and to look for its name is quicker than to walk.
    if mark is None or mark not in data:
        return facts
    orientation = _orientation_of(data, facts.format, mark)
    if orientation in _SWAPPING:
        return ImageFacts(facts.format, facts.height, facts.width, orientation)
    return facts._replace(orientation=orientation)


def is_baseline(jpeg: bytes) -> bool:
    """Whether the JPEG has its pixels in one pass, so that none is missing where none is cut."""
    frames = (marker for marker, _, _ in _jpeg_segments(jpeg) if 0xC0 <= marker <= 0xCF)
    return next((marker in {0xC0, 0xC1} for marker in frames if marker not in _NO_FRAMES), False)


_NO_FRAMES = {0xC4, 0xC8, 0xCC}  # tables among the markers of frames


def _stored_facts(data: bytes) -> ImageFacts:
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
    if (reason := _unread_by_content(data)) is not None:
        raise ImageRejected(reason)
    raise ImageRejected("unknown_format", f"starts with {data[:8].hex()}")


def _unread_by_content(data: bytes) -> ImageReason | None:
    """What is not read but known for certain; TIFF's start is also that of cameras' raw files."""
    if data[4:8] == b"ftyp":
        return next((reason for brand, reason in _BRANDS if brand in data[8:64]), None)
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _DIB_HEADER_SIZES:
        return "unread_format: bmp"
    if data.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):
        return "unread_format: jp2"
    if data.startswith((b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a")):
        return "unread_format: jxl"
    return None


_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1")
_BRANDS: tuple[tuple[bytes, ImageReason], ...] = (
    (b"avif", "unread_format: avif"),
    (b"avis", "unread_format: avif"),
    *((brand, "unread_format: heic") for brand in _HEIC_BRANDS),
)


def _jpeg_header(data: bytes) -> ImageFacts:
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        reason = "undecodable" if _reaches_scan(data) else "truncated_image"
        raise ImageRejected(reason, str(error)) from error
    return ImageFacts("JPEG", int(width), int(height))


def _reaches_scan(data: bytes) -> bool:
    """Whether the marker segments of a JPEG lead to a scan, or to what is no marker."""
    end = 2
    for marker, _, end in _jpeg_segments(data):  # noqa: B007 - where the last one ends
        if marker == 0xDA:
            return True
    return end + 4 <= len(data)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, and where its bytes begin and end, up to the first scan or what is no marker."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 4 > len(data) or data[at] != 0xFF:
            return
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at + 4, end
        if marker == 0xDA or end < at + 4:
            return
        at = end


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


_MARKS_OF_TAGS = {"JPEG": b"Exif\0\0", "PNG": b"eXIf", "WEBP": b"EXIF"}


def _orientation_of(data: bytes, image_format: str, mark: bytes) -> int:
    if image_format == "JPEG":
        found = (
            data[start + 6 : end]
            for marker, start, end in _jpeg_segments(data)
            if marker == 0xE1 and data.startswith(mark, start)
        )
    else:
        chunks = _png_chunks(data) if image_format == "PNG" else _webp_chunks(data)
        found = (data[start:end].removeprefix(b"Exif\0\0") for kind, start, end in chunks
                 if kind == mark)  # fmt: skip
    return next(map(_orientation_in, found), 1)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 8
    for _ in range(MAX_SEGMENTS):
        if at + 8 > len(data):
            return
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], at + 8, end
        at = end + 4


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    for _ in range(MAX_SEGMENTS):
        if at + 8 > len(data):
            return
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, end
        at = end + end % 2


def _orientation_in(tiff: bytes) -> int:
    """Tag 0x0112 of the first directory of EXIF data (EXIF 2.32, 4.6.4); no other is followed."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (n_tags,) = struct.unpack_from(f"{order}H", tiff, start)
        for i in range(min(n_tags, MAX_TAGS)):
            tag, kind, _, short = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * i)
            if tag == 0x0112:
                return short if kind == 3 and 1 <= short <= 8 else 1
    except struct.error:
        pass
    return 1
