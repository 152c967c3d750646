"""A pool in a folder, whose images are replaced, touched and copied."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recap_assets.artefacts.pool import POOL_COLUMNS
from recap_assets_tests.defs.counting_kinds import POINTS
from recap_assets_tests.rebuilding.platform import Platform
from recap_assets_tests.registering import registered

STAGES = {"pool", "captions", "scores"}
N = 4


def write_image(path: Path, seed: int) -> None:
    """A picture of that number; files of all of them are of one size."""
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(path, "PNG", compress_level=0)


def settings(folder: Path) -> dict[str, Any]:
    return {
        "corpora": {}, "models": {}, "report": {}, "sources": {"a": {"kind": "counting"}},
        "pool": {
            "kind": "folder", "images": str(folder / "images"), "texts": str(folder / "texts.csv"),
            "uid_column": "uid", "samples_per_shard": 2,
        },
        "scorers": {"clip": {"kind": "counting"}},
        "mixes": {"raw": {"scorer": "clip", "rules": [{"use": "raw"}]}},
    }  # fmt: skip


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    (tmp_path / "images").mkdir()
    for number in range(N):
        write_image(tmp_path / "images" / f"{number}.png", number)
    rows = (f"{number}.png,text {number},{number:032x}\n" for number in range(N))
    (tmp_path / "texts.csv").write_text("image,text,uid\n" + "".join(rows))
    families = [f"[recap.{family}]\n" + "\n".join(points) for family, points in POINTS.items()]
    with registered(tmp_path / "site", "kinds", *families):
        found = Platform(tmp_path, tmp_path / "data", settings(tmp_path))
        found.build(STAGES)
        yield found


def test_an_image_that_another_of_equal_size_and_time_replaced(platform: Platform) -> None:
    path = platform.folder / "images" / "2.png"
    before = path.stat()
    write_image(path, 99)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert platform.build(STAGES) == {"captions": 1, "image embeddings": 1, "text embeddings": 2}
    assert {partition for _, partition in platform.computed} == {"00001"}
    assert platform.build(STAGES) == {}
    assert platform.computed == []


def test_images_that_were_touched_in_any_way(platform: Platform) -> None:
    path = platform.folder / "images" / "2.png"
    path.chmod(0o600)
    assert platform.build(STAGES) == {}
    assert platform.computed == [("raw_pool", "00001")]
    assert platform.facts("raw_pool")["rows_reused"] == 2
    os.utime(path)
    assert platform.build(STAGES) == {}
    assert platform.computed == [("raw_pool", "00001")]


def test_a_folder_that_was_copied_elsewhere(platform: Platform) -> None:
    images = platform.folder / "elsewhere"
    shutil.copytree(platform.folder / "images", images)
    pool = {**platform.settings["pool"], "images": str(images)}
    assert platform.build(STAGES, pool=pool) == {}
    assert platform.computed == []
    # There the change times are known from here on.
    before = (images / "0.png").stat()
    write_image(images / "0.png", 98)
    os.utime(images / "0.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert platform.build(STAGES, pool=pool)["captions"] == 1


NOTED = "pool_columns/note"


def write_notes(folder: Path, last: str) -> None:
    """A table with notes of one letter, at a time that is always the same."""
    rows = (
        f"{number}.png,text {number},{number:032x},{note}\n"
        for number, note in enumerate(["a", "b", "c", last])
    )
    path = folder / "texts.csv"
    path.write_text("image,text,uid,note\n" + "".join(rows))
    os.utime(path, ns=(10**18, 10**18))


@pytest.fixture
def noted(platform: Platform) -> Platform:
    """The same with a column of the table."""
    write_notes(platform.folder, "d")
    platform.settings["pool"] |= {"columns": {"note": "table.note"}}
    platform.build(STAGES)
    return platform


def notes(platform: Platform) -> list[str]:
    rows = platform.project.workspace.tables.read(POOL_COLUMNS, column="note")
    return rows.sort("uid")["text"].to_list()


def test_a_table_that_another_of_equal_size_and_time_replaced(noted: Platform) -> None:
    assert notes(noted) == ["a", "b", "c", "d"]
    before = (noted.folder / "texts.csv").stat()
    write_notes(noted.folder, "e")
    after = (noted.folder / "texts.csv").stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    noted.build(STAGES)
    assert notes(noted) == ["a", "b", "c", "e"]
    # Nothing that an image is read for, since uids and texts are the same.
    assert {asset for asset, _ in noted.computed} == {NOTED}
    noted.build(STAGES)
    assert noted.computed == []
    write_notes(noted.folder, "d")
    noted.build(STAGES)
    assert notes(noted) == ["a", "b", "c", "d"]


def test_a_table_that_was_touched_in_any_way(noted: Platform) -> None:
    path = noted.folder / "texts.csv"
    path.chmod(0o600)
    noted.build(STAGES)
    assert noted.computed == []
    os.utime(path)
    noted.build(STAGES)
    assert noted.computed == []


def test_a_table_that_is_gone_is_said_where_it_is_read(noted: Platform) -> None:
    path = noted.folder / "texts.csv"
    noted.open()
    path.unlink()
    outside = noted.graph.nodes[NOTED].outside
    assert outside is not None
    assert outside("00000") == "none"
