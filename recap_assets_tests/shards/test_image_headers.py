"""What headers say, and images that are whole though their files are not as they should be."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from recap_assets.shards import images
from recap_assets.shards.image_headers import IMAGE_REASONS
from recap_assets.shards.images import (
    MAX_DECODED_PIXELS,
    ImageRejected,
    decode,
    image_facts,
    perceptual_hash_of,
)
from recap_assets.specs.pool import ImageLimits
from recap_assets_tests.shards.building import LIMITS, encoded, hamming, jpeg, picture

ORIENTATION = 0x0112
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}}


def reason_for(data: bytes) -> str | None:
    try:
        decode(data, LIMITS)
    except ImageRejected as rejection:
        return rejection.reason
    return None


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def app1(tiff: bytes) -> bytes:
    """A JPEG whose EXIF data is `tiff`."""
    plain = jpeg()
    body = b"Exif\0\0" + tiff
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_pixels_sides_and_hash_are_those_of_the_picture_as_shown(orientation, image_format):
    options = LOSSLESS.get(image_format, {"quality": 90})
    data = encoded(picture(), image_format, exif=exif_of(orientation), **options)
    with Image.open(io.BytesIO(data)) as opened:
        shown = ImageOps.exif_transpose(opened).convert("RGB")
    found = decode(data, LIMITS)
    assert np.abs(found.astype(int) - np.asarray(shown)).max() <= 4
    assert found.flags.c_contiguous
    assert image_facts(data, LIMITS)[1:3] == shown.size
    upright = perceptual_hash_of(encoded(shown, "PNG"), LIMITS)
    assert hamming(perceptual_hash_of(data, LIMITS), upright) <= 2


@pytest.mark.parametrize(
    "tiff",
    [
        b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x8769, 4, 1, 8, 8),  # leads to itself
        b"II*\0" + struct.pack("<IH", 8, 65_535),  # claims more tags than there are
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, ORIENTATION, 3, 1, 9, 0),
        b"MM\0*" + struct.pack(">IHHHII", 8, 1, ORIENTATION, 4, 1, 6),
        b"",
    ],
)
def test_exif_data_that_makes_no_sense_turns_nothing(tiff):
    assert image_facts(app1(tiff), LIMITS) == ("JPEG", 96, 72, 1)


def test_the_orientation_is_read_in_either_byte_order():
    for order, mark in (("<", b"II*\0"), (">", b"MM\0*")):
        tiff = mark + struct.pack(f"{order}IHHHIHH", 8, 1, ORIENTATION, 3, 1, 6, 0)
        assert image_facts(app1(tiff), LIMITS) == ("JPEG", 72, 96, 6)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x1cftypavif\0\0\0\0", "avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "avif"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "heic"),
        (encoded(picture(), "BMP"), "bmp"),
        (encoded(picture(), "JPEG2000"), "jp2"),
        (b"\xff\x0a" + bytes(20), "jxl"),
    ],
)
def test_a_format_that_is_not_read_is_named(start, name):
    assert reason_for(start) == f"unread_format: {name}"
    assert f"unread_format: {name}" in IMAGE_REASONS


@pytest.mark.parametrize("start", [b"\0\0\0\x18ftypisom\0\0\0\0", b"BM of no size", b"II*\0\x08\0"])
def test_what_only_might_be_an_image_has_no_known_format(start):
    assert reason_for(start) == "unknown_format"


def test_a_jpeg_without_its_end_mark_has_every_pixel():
    data = jpeg(size=(200, 160))
    for cut in (data[:-2], data[:-1]):
        assert np.array_equal(decode(cut, LIMITS), decode(data, LIMITS))
    assert reason_for(data[:-40]) == "truncated_image"
    progressive = encoded(picture(), progressive=True)
    assert reason_for(progressive[:-2]) == "truncated_image"


def test_a_gif_without_its_trailer_has_every_pixel():
    for options in ({}, {"save_all": True, "append_images": [picture(1)]}):
        data = encoded(picture(), "GIF", **options)
        assert np.array_equal(decode(data[:-1], LIMITS), decode(data, LIMITS))
        assert reason_for(data[:-2]) == "truncated_image"


def test_a_palette_image_without_its_palette_is_undecodable():
    header = struct.pack(">IIBBBBB", 8, 8, 8, 3, 0, 0, 0)
    rows = zlib.compress(bytes(9 * 8))
    chunks = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", rows), png_chunk(b"IEND", b""))
    assert reason_for(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)) == "undecodable"


@pytest.mark.parametrize("error", [AssertionError(), KeyError("x"), OverflowError("x")])
def test_whatever_a_decoder_raises_is_said_of_the_image_alone(error, monkeypatch):
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(Image, "open", fail)
    assert reason_for(encoded(picture(), "PNG")) == "undecodable"


def test_want_of_memory_is_the_images_fault_only_where_the_machine_has_room(monkeypatch):
    def fail(*_arguments: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    data = encoded(picture(), "PNG")
    assert reason_for(data) == "undecodable"
    monkeypatch.setattr(images, "bytearray", fail, raising=False)
    with pytest.raises(MemoryError):
        decode(data, LIMITS)


def test_scans_are_bounded_by_the_pixels_that_each_passes_over(monkeypatch):
    data = encoded(picture(), progressive=True)
    n_scans = data.count(b"\xff\xda")
    monkeypatch.setattr(images, "MAX_SCANNED_PIXELS", n_scans * 96 * 72)
    assert reason_for(data) is None
    monkeypatch.setattr(images, "MAX_SCANNED_PIXELS", n_scans * 96 * 72 - 1)
    assert reason_for(data) == "bomb"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_large_image_comes_reduced_to_the_bound_and_no_further(image_format):
    data = encoded(picture(size=(3_000, 1_500)), image_format)
    height, width, _ = decode(data, LIMITS).shape
    assert MAX_DECODED_PIXELS / 4 <= height * width <= MAX_DECODED_PIXELS
    assert width / height == pytest.approx(2, rel=0.01)
    assert image_facts(data, LIMITS)[1:3] == (3_000, 1_500)
    at_bound = encoded(picture(size=(2_048, 2_048)), image_format)
    assert decode(at_bound, LIMITS).shape == (2_048, 2_048, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA"])
def test_bands_give_what_the_whole_gives(mode, monkeypatch):
    data = encoded(picture(size=(61, 47)).convert(mode), "PNG")
    whole = [decode(data, LIMITS), decode(data, LIMITS, min_side=15)]
    monkeypatch.setattr(images, "BAND_PIXELS", 200)
    assert all(map(np.array_equal, whole, [decode(data, LIMITS), decode(data, LIMITS, 15)]))
    assert whole[1].shape == (16, 21, 3)


def test_limits_hold_for_the_sides_as_shown():
    data = encoded(picture(size=(96, 72)), exif=exif_of(6))
    assert image_facts(data, ImageLimits(min_side=72)).height == 96
