"""A row's path finds its file though another system wrote the name otherwise."""

import unicodedata
from pathlib import Path

import polars as pl
import pytest

from recap_assets.pool.kinds.folder import FolderPool
from recap_assets.shards.files import OutsideFolderError
from recap_assets.shards.folder_names import FolderFiles
from recap_assets.shards.indexing import index_shard
from recap_assets.shards.manifest import assign, list_shards
from recap_assets.shards.reading import ImageReader
from recap_assets_tests.shards.building import jpeg

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café.jpg") for form in ("NFC", "NFD"))


def pool_of(folder: Path) -> FolderPool:
    (folder / "images/sub").mkdir(parents=True)
    (folder / "images" / DECOMPOSED).write_bytes(jpeg(1))
    (folder / "images/sub/two.jpg").write_bytes(jpeg(2))
    (folder / "images/THREE.JPG").write_bytes(jpeg(3))
    rows = {"image": [COMPOSED, "sub\\two.jpg", "three.jpg"], "text": ["one", "two", "three"]}
    pl.DataFrame(rows).write_csv(folder / "texts.csv")
    spec = {"images": str(folder / "images"), "texts": str(folder / "texts.csv")}
    return FolderPool.model_validate({"kind": "folder", **spec})


def test_composed_letters_and_backslashes_find_their_files(tmp_path):
    pool = pool_of(tmp_path)
    shards = assign(list_shards(pool), [])
    rows = index_shard(shards[0], pool)
    reasons = dict(rows.select("key", "reject_reason").iter_rows())
    assert reasons == {COMPOSED: None, "sub\\two.jpg": None, "three.jpg": "missing_image"}
    reader = ImageReader({0: shards[0]}, pool)
    good = rows.filter(pl.col("reject_reason").is_null())
    assert all(image is not None for image in reader.read(good))


def test_a_change_of_such_a_file_is_a_change_of_its_shard(tmp_path):
    pool = pool_of(tmp_path)
    (before,) = list_shards(pool)
    (tmp_path / "images/sub/two.jpg").write_bytes(jpeg(5) + b" ")
    (after,) = list_shards(pool)
    assert (after.version != before.version, after.size - before.size) == (
        True,
        len(jpeg(5)) + 1 - len(jpeg(2)),
    )


def test_other_case_is_a_hint_and_a_way_out_of_the_folder_is_none(tmp_path):
    pool = pool_of(tmp_path)
    files = FolderFiles(pool.images)
    assert files.nearest("three.jpg") == "THREE.JPG"
    assert files.nearest("four.jpg") is None
    with pytest.raises(FileNotFoundError):
        files.open("..\\texts.csv")
    with pytest.raises(OutsideFolderError):
        files.open("../texts.csv")


def test_the_very_name_comes_first(tmp_path):
    pool = pool_of(tmp_path)
    (tmp_path / "images/sub\\two.jpg").write_bytes(b"with a backslash")
    file = FolderFiles(pool.images).open("sub\\two.jpg")
    assert file.read(0, 100) == b"with a backslash"
    file.close()
