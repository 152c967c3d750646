"""Tables are written and read back below any folder name, or the folder is refused by name."""

from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.storage.retention import collect
from recap_assets.storage.tables import StorageError, TableStore
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.storage.test_tables import AT, scores

USABLE = ["my data", "Größe", "a#b{c,d}", "100%zz", "a+b&c;e", "a*b:c", "é 😀", "~'\"<a>"]
UNUSABLE = {
    "50%20off": "%20", "data[1]": "[", "a]": "]", "a\\b": "\\", "run=3": "=", "a?b": "?",
    "a^b": "^", "a|b": "|", "a\nb": "\n", "a\x7f": "\x7f", "a\udcff": "\udcff",
}  # fmt: skip
"""Folders, and the characters that stand in the way."""


@pytest.mark.parametrize("name", USABLE)
def test_a_table_is_written_read_and_cleaned_in_any_folder(tmp_path: Path, name: str) -> None:
    store = TableStore(str(tmp_path / name / "tables"))
    store.replace(CLIP_SCORES, AT, scores(0.1, 0.2))
    store.replace(CLIP_SCORES, {**AT, "partition": "b b"}, scores(0.5))
    store.replace(CLIP_SCORES, AT, scores(0.3))
    read = store.read(CLIP_SCORES, partition="00000")["score"].to_list()
    assert read == [pytest.approx(0.3)]
    old = store.read(CLIP_SCORES, version=store.version(CLIP_SCORES) - 1)  # type: ignore[operator]
    assert old.height == 3
    assert store.read(CLIP_SCORES, partition="b b").height == 1
    assert collect(store, [CLIP_SCORES], {}, dry_run=False)[0].refused is None


@pytest.mark.parametrize(("name", "shown"), UNUSABLE.items())
def test_a_folder_that_cannot_be_used_is_refused_with_its_character(
    tmp_path: Path, name: str, shown: str
) -> None:
    store = TableStore(str(tmp_path / name / "tables"))
    with pytest.raises(StorageError, match=r"cannot be in .*Name another data folder") as error:
        store.create(RAW_POOL)
    assert f"take {shown!a} in its name" in str(error.value)
    assert not (tmp_path / name).exists()
    with pytest.raises(StorageError, match="cannot be in"):
        Workspace(tmp_path / name, "x").refuse_unusable()


def test_an_object_stores_url_is_no_folder() -> None:
    Workspace(Path("data"), "x", "s3://bucket/a=b").refuse_unusable()


def test_plain_names_are_handed_on_as_deltalake_names_them(tmp_path: Path) -> None:
    store = TableStore(str(tmp_path / "tables"))
    store.replace(CLIP_SCORES, AT, scores(0.1))
    delta = store.open(CLIP_SCORES)
    assert delta is not None
    assert all(Path(name).is_file() for name in delta.file_uris())
    assert pl.scan_delta(delta).collect().height == 1
