import io
import json
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recap_assets.shards.images import (
    HASH_SIDE,
    IMAGE_REASONS,
    ImageRejected,
    decode,
    image_facts,
    matches_within,
    perceptual_hash,
    perceptual_hash_of,
)
from recap_assets.shards.indexing import index_shard
from recap_assets.shards.manifest import assign, list_shards
from recap_assets.specs.pool import ImageLimits
from recap_assets_tests.shards.building import LIMITS, encoded, hamming, jpeg, picture, pool_at

ANIMATED = {"save_all": True, "append_images": [picture(1), picture(2)]}
FILES = {
    "JPEG": jpeg(),
    "progressive": encoded(picture(), progressive=True),
    "PNG": encoded(picture(), "PNG"),
    "GIF": encoded(picture(), "GIF"),
    "animated GIF": encoded(picture(), "GIF", **ANIMATED),
    "WEBP": encoded(picture(), "WEBP"),
    "lossless WEBP": encoded(picture(), "WEBP", lossless=True),
    "animated WEBP": encoded(picture(), "WEBP", **ANIMATED),
    "alpha WEBP": encoded(picture().convert("RGBA"), "WEBP", exact=True),
}


def reason_for(data: bytes, limits: ImageLimits = LIMITS) -> str | None:
    try:
        decode(data, limits)
    except ImageRejected as rejection:
        return rejection.reason
    return None


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    return start + struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IEND\xaeB`\x82"


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_pixels_that_pillow_gives(name):
    image = decode(FILES[name], LIMITS)
    with Image.open(io.BytesIO(FILES[name])) as opened:
        expected = np.asarray(opened.convert("RGB")).astype(int)
    assert (image.shape, image.dtype) == ((72, 96, 3), np.uint8)
    # Decoders of JPEG may round differently.
    assert np.abs(image - expected).max() <= (
        4 if image_facts(FILES[name], LIMITS)[0] == "JPEG" else 0
    )


@pytest.mark.parametrize("name", FILES)
def test_the_header_gives_format_and_size(name):
    image_format = name.split()[-1].replace("progressive", "JPEG")
    assert image_facts(FILES[name], LIMITS) == (image_format, 96, 72, 1)


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_is_rejected_wherever_it_is_cut(name):
    data = FILES[name]
    cuts = {
        *range(1, 40),
        *range(40, len(data), max(1, len(data) // 60)),
        len(data) - 3,
    }
    reasons = {reason_for(data[:cut]) for cut in cuts}
    assert reasons <= {"truncated_image", "unknown_format", "undecodable"}
    assert reason_for(data[: len(data) // 2]) == "truncated_image"
    assert reason_for(data[:-3]) == "truncated_image"


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "WEBP"])
def test_bytes_after_the_end_do_no_harm(name):
    assert np.array_equal(decode(FILES[name] + b"\0" * 50, LIMITS), decode(FILES[name], LIMITS))


def test_reasons_are_told_apart():
    assert reason_for(b"") == "zero_bytes"
    assert reason_for(bytes(100)) == "unknown_format"
    assert reason_for(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == "unknown_format"
    assert reason_for(encoded(picture(), "BMP")) == "unread_format: bmp"
    assert reason_for(jpeg(), ImageLimits(max_bytes=100)) == "too_large"
    assert reason_for(jpeg(), ImageLimits(min_side=73)) == "too_small"
    assert reason_for(jpeg(), ImageLimits(min_side=72)) is None
    assert reason_for(jpeg(), ImageLimits(max_pixels=96 * 72 - 1)) == "bomb"
    assert reason_for(jpeg(), ImageLimits(max_pixels=96 * 72)) is None


def test_a_corrupt_scan_is_undecodable():
    data = bytearray(jpeg(size=(400, 400)))
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff\x69" * 20
    assert reason_for(bytes(data)) == "undecodable"


def test_corruption_that_pillow_passes_over_is_undecodable():
    data = jpeg(size=(400, 400))
    found = set()
    for at in range(2000, len(data) - 10, 97):
        changed = bytearray(data)
        changed[at] ^= 0x55
        try:
            with Image.open(io.BytesIO(bytes(changed))) as opened:
                opened.load()
        except OSError:
            continue
        found.add(reason_for(bytes(changed)))
    assert "undecodable" in found
    assert found <= {"undecodable", None}


@pytest.mark.parametrize("sides", [(1, 2**20 + 1), (2**20 + 1, 1)])
def test_a_side_that_takes_more_room_than_its_pixels_is_a_bomb(sides):
    assert reason_for(png_claiming(*sides)) == "bomb"
    assert reason_for(png_claiming(*(side and min(side, 2**20) for side in sides))) != "bomb"


@pytest.mark.parametrize(
    "bomb",
    [
        png_claiming(50_000, 50_000),
        png_claiming(2**31 - 1, 2**31 - 1),
        b"GIF89a\xff\xff\xff\xff\0\0\0;",
        b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\x00" * 2 + b"\0" * 20,
        b"RIFF\x20\0\0\0WEBPVP8L\x10\0\0\0\x2f\xff\xff\xff\x0f" + b"\0" * 20,
    ],
)
def test_bombs_are_rejected_by_their_header(bomb, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_a, **_k: pytest.fail("a bomb reached the decoder"))
    assert reason_for(bomb) == "bomb"


def test_a_jpeg_of_endless_scans_is_a_bomb():
    data = FILES["progressive"]
    assert reason_for(data[:-2] + b"\xff\xda\0\x08" * 2000 + data[-2:]) == "bomb"


def test_a_gif_frame_beyond_its_screen_counts_as_it_is():
    data = bytearray(encoded(picture(size=(300, 300)), "GIF"))
    data[6:10] = struct.pack("<HH", 1, 1)
    assert reason_for(bytes(data), ImageLimits(max_pixels=1000)) == "bomb"


def test_alpha_is_composited_over_white():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 255, 255))
    image.putpixel((1, 0), (0, 0, 0, 127))
    for data in (encoded(image, "PNG"), encoded(image, "WEBP", lossless=True, exact=True)):
        pixels = decode(data, LIMITS)
        assert pixels[0, 0].tolist() == [0, 0, 255]
        assert pixels[0, 1].tolist() == [128, 128, 128]
        assert pixels[3, 3].tolist() == [255, 255, 255]


def test_palettes_and_their_transparency_are_resolved():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    assert decode(encoded(image, "PNG"), LIMITS)[0].tolist() == [[10, 20, 30], [200, 100, 50]]
    transparent = decode(encoded(image, "PNG", transparency=1), LIMITS)
    assert transparent[0].tolist() == [[10, 20, 30], [255, 255, 255]]


def test_grey_16_bit_grey_and_cmyk_become_rgb():
    deep = Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], dtype=np.uint16))
    assert decode(encoded(deep, "PNG"), LIMITS)[0, :, 1].tolist() == [0, 128, 255]
    grey = encoded(picture().convert("L"))
    assert np.ptp(decode(grey, LIMITS), axis=2).max() == 0
    ink = encoded(picture().convert("CMYK"), quality=95)
    assert np.abs(decode(ink, LIMITS).astype(int) - np.asarray(picture())).mean() < 6


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("side", [16, 36, 64, 1000])
def test_a_reduced_image_keeps_the_smallest_side(name, side):
    height, width, _ = decode(FILES[name], LIMITS, min_side=side).shape
    assert min(height, width) >= min(side, 72)
    assert width / height == pytest.approx(96 / 72, rel=0.1)


@given(st.binary(max_size=400), st.sampled_from([b"", *(f[:40] for f in FILES.values())]))
@settings(max_examples=300)
def test_any_bytes_give_an_image_or_a_reason(data, start):
    assert reason_for(start + data) in {None, *IMAGE_REASONS}


@given(st.sampled_from(sorted(FILES)), st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
@settings(max_examples=300)
def test_any_changed_bytes_give_an_image_or_a_reason(name, at, change):
    data = bytearray(FILES[name])
    at %= len(data)
    data[at : at + len(change)] = change
    assert reason_for(bytes(data), ImageLimits(max_pixels=10**6)) in {None, *IMAGE_REASONS}


def phash_as_published(image: np.ndarray) -> int:
    """imagehash.phash, written out: scipy's DCT of the image that Pillow reduced to 32x32."""
    fft = pytest.importorskip("scipy.fft")
    small = Image.fromarray(image).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    low = fft.dct(fft.dct(np.asarray(small, dtype=float), axis=0), axis=1)[:8, :8]
    bits = "".join("01"[int(bit)] for bit in (low > np.median(low)).ravel())
    return int(bits, 2)


def test_the_hash_is_the_published_one_but_for_rounding():
    distances = []
    for seed in range(40):
        image = np.asarray(picture(seed, (200 + seed, 150)))
        distances.append(hamming(perceptual_hash(image), phash_as_published(image)))
    assert max(distances) <= 2
    assert np.mean(distances) < 0.5


def test_the_hash_is_pinned():
    y, x = np.mgrid[0:96, 0:128]
    pattern = (x * 2 + (y * y // 40) + 60 * ((x // 16 + y // 24) % 2)) % 256
    image = np.repeat(pattern[..., None].astype(np.uint8), 3, axis=2)
    assert perceptual_hash(image) == -7955972815147103255
    assert perceptual_hash(image[:, ::-1]) != -7955972815147103255


def test_the_hash_of_a_very_long_image_takes_little_memory():
    strip = np.tile(np.linspace(0, 255, 400_000, dtype=np.uint8)[None, :, None], (2, 1, 3))
    tracemalloc.start()
    found = perceptual_hash(strip)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * strip.nbytes
    assert hamming(found, perceptual_hash(np.ascontiguousarray(strip[:, ::1000]))) <= 4


def test_flat_images_have_one_hash():
    flat = [
        np.full((h, w, 3), v, np.uint8) for h, w, v in ((50, 70, 3), (64, 64, 128), (9, 200, 255))
    ]
    assert {perceptual_hash(image) for image in flat} == {-(2**63)}


def test_all_pairs_within_a_distance_are_found():
    random = np.random.default_rng(0)
    hashes = random.integers(-(2**63), 2**63 - 1, 300)
    others = np.concatenate([hashes[::7] ^ 5, random.integers(-(2**63), 2**63 - 1, 200)])
    expected = [
        [i, j] for i, a in enumerate(hashes) for j, b in enumerate(others)
        if hamming(int(a), int(b)) <= 18
    ]  # fmt: skip
    assert matches_within(hashes, others, 18).tolist() == expected
    assert len(expected) > len(hashes[::7])
    assert matches_within(hashes, others[:0], 64).shape == (0, 2)


def test_pairs_are_found_across_blocks():
    hashes = np.arange(3, dtype=np.int64)
    others = np.concatenate([np.full(70_000, -1), hashes])
    assert matches_within(hashes, others, 0).tolist() == [[0, 70_000], [1, 70_001], [2, 70_002]]


def test_near_duplicates_have_near_hashes(shared_data: Path):
    # Measured: 175 pairs, median 0, 99th percentile 4, largest 6 bits; of the 2 M pairs of the
    # pool's own photographs one at 0, five at 10, none between; median 32.
    pool = pool_at(shared_data / "pools/flickr8k_web/shards")
    rows = pl.concat([index_shard(shard, pool) for shard in assign(list_shards(pool), [])])
    names = [url.rsplit("/", 1)[1] for url in rows["url"]]
    hashes = rows["perceptual_hash"].to_numpy()
    at = {name: i for i, name in enumerate(names)}
    folder = shared_data / "near_duplicates"
    lines = (folder / "pairs.jsonl").read_text().splitlines()
    pairs = [json.loads(line) for line in lines]
    pairs = [p for p in pairs if p["duplicate_of"].rsplit("/", 1)[1] in at]
    copies = [perceptual_hash_of((folder / p["image"]).read_bytes(), LIMITS) for p in pairs]
    partners = [at[p["duplicate_of"].rsplit("/", 1)[1]] for p in pairs]
    distances = [hamming(a, int(hashes[i])) for a, i in zip(copies, partners, strict=True)]
    assert len(pairs) == 175
    assert max(distances) <= 8
    matches = matches_within(np.array(copies), hashes, 8)
    found = {(int(i), int(j)) for i, j in matches}
    assert found >= set(enumerate(partners))
    assert len(found) == 175
    random = matches_within(hashes, hashes, 10)
    assert (random[:, 0] < random[:, 1]).sum() < 10


def test_full_and_reduced_decoding_hash_alike():
    for seed in range(20):
        data = jpeg(seed, (640, 480))
        full = perceptual_hash(decode(data, LIMITS))
        assert hamming(full, perceptual_hash_of(data, LIMITS)) <= 4
        assert perceptual_hash(decode(data, LIMITS, HASH_SIDE)) == perceptual_hash_of(data, LIMITS)
