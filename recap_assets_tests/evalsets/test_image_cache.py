"""Images that are cached from one model to the next: never stale, never torn, never too many."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from recap_assets.evalsets.image_cache import DIGEST_BYTES, ENDING, ImageCache

SHAPE = (2, 4, 3)
ROW = 24 + DIGEST_BYTES
FILES = [bytes([i]) * (i + 1) for i in range(6)]


class Decoding:
    """Pixels that follow from the bytes, and how often they were asked for."""

    def __init__(self, salt: int = 0) -> None:
        self.asked: list[bytes] = []
        self.salt = salt

    def __call__(self, content: bytes) -> np.ndarray:
        self.asked.append(content)
        if content == b"broken":
            msg = "no image"
            raise ValueError(msg)
        return np.random.default_rng(len(content) + self.salt).integers(0, 256, SHAPE, np.uint8)


def images_of(
    cache: ImageCache, decoding: Decoding, files: list[bytes] = FILES, name: str = "a"
) -> list[np.ndarray]:
    with cache.of_set("size", name, SHAPE, decoding) as decode:
        return [decode(content) for content in files]


def files_below(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def total(root: Path) -> int:
    return sum(path.stat().st_size for path in files_below(root))


def age(path: Path, days: float) -> None:
    then = time.time() - days * 86_400
    os.utime(path, (then, then))


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "cache", 10_000)


def test_each_image_is_decoded_once_and_comes_back_as_it_was(cache: ImageCache) -> None:
    first, again = Decoding(), Decoding()
    expected = images_of(cache, first, [*FILES, FILES[0]])
    found = images_of(cache, again, [*reversed(FILES), FILES[0]])
    assert first.asked == [*FILES, FILES[0]]  # within the first reading nothing is looked up
    assert not again.asked
    for image, was in zip(found, [*reversed(expected[:-1]), expected[-1]], strict=True):
        assert image.dtype == np.uint8
        assert np.array_equal(image, was)


def test_an_image_that_changed_is_decoded_and_the_others_are_not(cache: ImageCache) -> None:
    images_of(cache, Decoding())
    changed, after = Decoding(), Decoding()
    images_of(cache, changed, [*FILES[:3], b"another", *FILES[4:]])
    images_of(cache, after, [*FILES, b"another"])
    assert changed.asked == [b"another"]
    assert not after.asked


def test_another_size_or_set_has_its_own(cache: ImageCache) -> None:
    images_of(cache, Decoding())
    other = Decoding(salt=9)
    with cache.of_set("larger", "a", SHAPE, other) as decode:
        assert np.array_equal(decode(FILES[0]), Decoding(salt=9)(FILES[0]))
    images_of(cache, other, FILES[:1], "b")
    assert other.asked == [FILES[0], FILES[0]]


def test_an_error_is_raised_each_time(cache: ImageCache) -> None:
    decoding = Decoding()
    for _ in range(2):
        with cache.of_set("size", "a", SHAPE, decoding) as decode:
            decode(FILES[0])
            with pytest.raises(ValueError, match="no image"):
                decode(b"broken")
    assert decoding.asked == [FILES[0], b"broken", b"broken"]


def test_a_block_that_fails_leaves_nothing(cache: ImageCache) -> None:
    with pytest.raises(ValueError, match="no image"):
        images_of(cache, Decoding(), [FILES[0], b"broken"])
    assert not files_below(cache.root)


def test_a_killed_writer_leaves_no_image_and_what_it_leaves_goes(cache: ImageCache) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from recap_assets_tests.evalsets import test_image_cache as t\n"
        "cache = t.ImageCache(Path(sys.argv[1]), 10_000)\n"
        "with cache.of_set('size', 'a', t.SHAPE, t.Decoding()) as decode:\n"
        "    decode(t.FILES[0]); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(cache.root)], check=False)  # noqa: S603
    (left,) = files_below(cache.root)
    assert left.suffix != ENDING
    decoding = Decoding()
    images_of(cache, decoding)
    assert decoding.asked == FILES
    age(left, 8)
    assert cache.unused(timedelta(days=7)) == [left]


def shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def without_images(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [shorter, without_images, Path.unlink])
def test_a_file_that_is_not_whole_is_not_read(
    cache: ImageCache, harm: Callable[[Path], None]
) -> None:
    expected = images_of(cache, Decoding())
    harm(files_below(cache.root)[0])
    decoding = Decoding()
    found = images_of(cache, decoding)
    assert decoding.asked == FILES
    assert all(map(np.array_equal, found, expected))


def test_a_file_that_is_lost_while_it_is_read_is_decoded(cache: ImageCache) -> None:
    expected = images_of(cache, Decoding())
    decoding = Decoding()
    with cache.of_set("size", "a", SHAPE, decoding) as decode:
        assert np.array_equal(decode(FILES[0]), expected[0])
        os.truncate(files_below(cache.root)[0], 0)
        assert np.array_equal(decode(FILES[1]), expected[1])
    assert decoding.asked == [FILES[1]]


def test_two_that_write_the_same_write_one_file(cache: ImageCache) -> None:
    with (
        cache.of_set("size", "a", SHAPE, Decoding()) as one,
        cache.of_set("size", "a", SHAPE, Decoding()) as other,
    ):
        for content in FILES:
            assert np.array_equal(one(content), other(content))
    assert len(files_below(cache.root)) == 1


@pytest.mark.parametrize("room", [0, 1, ROW - 1, ROW, 3 * ROW + 5, 6 * ROW])
def test_no_more_is_written_than_the_limit(tmp_path: Path, room: int) -> None:
    cache = ImageCache(tmp_path / "cache", room)
    expected = images_of(cache, Decoding())
    assert total(cache.root) == room // ROW * ROW
    decoding = Decoding()
    assert all(map(np.array_equal, images_of(cache, decoding), expected))
    assert decoding.asked == FILES[room // ROW :]
    images_of(cache, decoding, name="b")
    assert total(cache.root) <= room


def test_what_is_under_way_elsewhere_counts(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", 4 * ROW)
    with cache.of_set("size", "a", SHAPE, Decoding()) as one:
        (cache.root / "size" / "a" / ".new.images.abcdefgh").write_bytes(bytes(3 * ROW))
        for content in FILES:
            one(content)
    assert total(cache.root) == 4 * ROW


def test_what_nobody_reads_makes_room_and_what_was_read_stays(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", 6 * ROW)
    for name in ("old", "older", "read"):
        images_of(cache, Decoding(), FILES[:2], name)
    old, older, read = (files_below(cache.root / "size" / n)[0] for n in ("old", "older", "read"))
    for path, days in ((old, 2), (older, 3), (read, 4)):
        age(path, days)
    images_of(cache, Decoding(), FILES[:1], "read")  # which makes it the youngest
    images_of(cache, Decoding(), FILES[:2], "new")
    assert read.exists()
    assert not older.exists()
    assert total(cache.root) <= cache.limit
    again = Decoding()
    images_of(cache, again, FILES[:2], "new")
    assert not again.asked


def test_without_room_on_the_disk_images_are_decoded(
    cache: ImageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_how: object) -> tuple[int, str]:
        raise OSError(28, "No space left on device")

    expected = images_of(ImageCache(cache.root, 0), Decoding())
    monkeypatch.setattr("recap_assets.evalsets.image_cache.tempfile.mkstemp", full)
    decoding = Decoding()
    assert all(map(np.array_equal, images_of(cache, decoding), expected))
    assert decoding.asked == FILES
    assert not files_below(cache.root)
