"""A log whose last entry was cut: one sentence and what to do, or the table as it was before."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.artefacts.table import Table
from recap_assets.storage import log_entries
from recap_assets.storage.log_entries import (
    damaged_entry,
    entry_file,
    files_added,
    without_backtrace,
)
from recap_assets.storage.tables import StorageError, TableStore
from recap_assets_tests.storage.test_tables import AT, EVENTS, scores

CUTS: tuple[Callable[[bytes], bytes], ...] = (
    lambda whole: whole[:0],
    lambda whole: whole[:10],
    lambda whole: whole[: len(whole) // 2],
    lambda whole: whole[:-3],
    lambda whole: b"\0" * len(whole),
)


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path / "tables"))


def cut(store: TableStore, table: Table, how: Callable[[bytes], bytes]) -> Path:
    version = store.version(table)
    assert version is not None
    last = entry_file(store.uri(table), version)
    last.write_bytes(how(last.read_bytes()))
    return last


@pytest.mark.parametrize("how", CUTS)
def test_a_cut_entry_is_named_with_what_to_do_which_helps(
    store: TableStore, how: Callable[[bytes], bytes]
) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.1))
    store.replace(CLIP_SCORES, AT, scores(0.2))
    last = cut(store, CLIP_SCORES, how)
    for act in (
        lambda: store.read(CLIP_SCORES),
        lambda: store.slices(CLIP_SCORES),
        lambda: store.replace(CLIP_SCORES, AT, scores(0.3)),
    ):
        with pytest.raises(StorageError) as caught:
            act()
        told = str(caught.value)
        assert f"{last}, the last entry of its log, is damaged or empty" in told
        assert f"Remove the folder {store.uri(CLIP_SCORES)} and build again" in told
        assert len(told.splitlines()) == 1


@pytest.mark.parametrize("how", CUTS)
def test_rows_that_are_only_added_stand_as_before_the_cut_entry(
    store: TableStore, how: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    for day in ("mon", "tue"):
        store.append(EVENTS, pl.DataFrame({"day": [day], "number": [1]}))
    last = cut(store, EVENTS, how)
    assert store.read(EVENTS)["day"].to_list() == ["mon"]
    assert f"{last} was cut; it is kept as {last.name}.damaged-" in caplog.text
    store.append(EVENTS, pl.DataFrame({"day": ["tue"], "number": [1]}))
    assert sorted(DeltaTable(store.uri(EVENTS)).to_pyarrow_table()["day"].to_pylist()) == [
        "mon", "tue",
    ]  # fmt: skip


def test_a_whole_log_and_one_that_is_not_there_have_no_damaged_entry(store: TableStore) -> None:
    assert damaged_entry(store.uri(LINEAGE)) is None
    store.create(LINEAGE)
    assert damaged_entry(store.uri(LINEAGE)) is None
    assert damaged_entry("s3://bucket/tables") is None


def test_the_functions_of_a_library_are_not_told() -> None:
    assert without_backtrace(ValueError("cut\n   0: <unknown>\n   1: main")) == "cut"
    assert without_backtrace(ValueError()) == "ValueError"


def test_the_log_says_which_files_commits_after_a_version_have_added(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.uri(CLIP_SCORES)
    first = store.replace(CLIP_SCORES, AT, scores(1)).table_version or 0
    before = store.files_of(CLIP_SCORES, None, {})
    assert files_added(folder, first) == frozenset()
    other = {**AT, "source": "of a name with %25 and blanks"}
    store.replace(CLIP_SCORES, other, scores(2))
    last = store.replace(CLIP_SCORES, AT, scores(3)).table_version or 0
    now = store.files_of(CLIP_SCORES, None, {})
    (one,), (there,) = before.values(), now.values()
    assert files_added(folder, first) == there - one
    assert files_added(folder, last) == frozenset()
    assert files_added(folder, last - 1) < there - one
    monkeypatch.setattr(log_entries, "MOST_ENTRIES", 1)
    assert files_added(folder, first) is None
    assert files_added("s3://bucket/table", first) is None
    entry_file(folder, first).unlink()  # as cleaning a log does
    assert files_added(folder, first) is None
