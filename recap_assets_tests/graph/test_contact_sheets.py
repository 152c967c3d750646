"""The picture of a materialization: some of its images, small and in bounded bytes."""

import base64
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from recap_assets.graph.contact_sheets import IMAGES, MOST_PARTITIONS, sheet_of, sheet_of_uids
from recap_assets.shards.thumbnails import SHEET_BYTES, contact_sheet, thumbnail
from recap_assets_tests.tiny import Bench, tiny_experiment


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("sheets"), tiny_experiment())
    bench.build("world", "pool")
    return bench


def picture_in(markdown: str) -> Image.Image:
    head, _, data = markdown.removesuffix(")").partition(";base64,")
    assert head.endswith("(data:image/jpeg")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def tiles_of(sheet: Image.Image) -> list[np.ndarray]:
    """The mean colour of each place of the sheet."""
    pixels = np.asarray(sheet.convert("RGB"), np.float64)
    tops = range(0, sheet.height, 66)
    return [pixels[y : y + 64, x : x + 64].mean((0, 1)) for y in tops for x in range(0, 394, 66)]


def test_a_sheet_has_twelve_of_the_partitions_images(bench: Bench) -> None:
    rows = bench.project.usable_images("00000")
    assert rows.height == 20
    markdown = sheet_of(bench.project, "00000", rows)[IMAGES]
    assert markdown.startswith("![12 of its images](")
    assert picture_in(markdown).size == (6 * 66 - 2, 2 * 66 - 2)
    assert sheet_of(bench.project, "00000", rows.reverse())[IMAGES] == markdown


def test_a_mixs_sheet_has_its_own_images_only(bench: Bench) -> None:
    rows = bench.project.usable_images("00001").head(2)
    twice = pl.concat([rows["uid"], rows["uid"]])
    markdown = sheet_of_uids(bench.project, "00001", twice)[IMAGES]
    assert markdown.startswith("![2 of its images](")
    assert picture_in(markdown).size == (6 * 66 - 2, 64)
    assert markdown == sheet_of(bench.project, "00001", rows)[IMAGES]


def test_twelve_are_drawn_of_many_uids_as_of_many_images(bench: Bench) -> None:
    rows = bench.project.usable_images("00000")
    thrice = pl.concat([rows["uid"], rows["uid"].reverse(), rows["uid"]])
    expected = sheet_of(bench.project, "00000", rows)
    assert sheet_of_uids(bench.project, "00000", thrice) == expected


def test_images_are_in_their_places() -> None:
    colours = [(250 - 20 * i, 20 * i, 128) for i in range(12)]
    sheet = contact_sheet([np.full((90, 90, 3), colour, np.uint8) for colour in colours])
    assert sheet is not None
    found = tiles_of(Image.open(io.BytesIO(sheet)))
    assert np.abs(np.array(found) - np.array(colours)).max() < 6


def test_a_sheet_of_noise_is_bounded_too() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (300, 200, 3), np.uint8) for _ in range(30)]
    sheet = contact_sheet(noise)
    assert sheet is not None
    assert len(sheet) <= SHEET_BYTES
    assert contact_sheet([]) is None


def test_a_thumbnail_keeps_the_shape() -> None:
    small = Image.open(io.BytesIO(thumbnail(np.zeros((400, 100, 3), np.uint8), 96)))
    assert small.size == (24, 96)


def test_a_pool_that_is_gone_or_large_has_no_sheet(bench: Bench, tmp_path: Path) -> None:
    rows = bench.project.usable_images("00000")
    assert sheet_of(bench.project, f"{MOST_PARTITIONS:05d}", rows) == {}
    assert sheet_of_uids(bench.project, f"{MOST_PARTITIONS:05d}", rows["uid"]) == {}
    assert sheet_of_uids(bench.project, "00000", rows["uid"].clear()) == {}
    gone = bench.copied(tmp_path)
    for shard in gone.project.workspace.world.rglob("*.tar"):
        shard.unlink()
    assert sheet_of(gone.project, "00000", rows) == {}
