"""What a store says of a table's files after commits is what a new store says, which opens it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.storage import log_entries
from recap_assets.storage.errors import StorageError
from recap_assets.storage.log_entries import end_of_log, entry_file, file_changes
from recap_assets.storage.tables import FixedTables, TableStore
from recap_assets_tests.storage.test_tables import AT, scores

OTHER = {**AT, "partition": "00001"}
HOSTILE = {**AT, "source": "of a name with %25, blanks and \u00e4"}

Change = Callable[[TableStore], object]


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableStore]:
    folder = tmp_path_factory.mktemp("tables")
    store = TableStore(str(folder))
    store.replace(CLIP_SCORES, AT, scores(0.1))
    listed(store)
    yield store
    shutil.rmtree(folder)


def listed(store: TableStore) -> object:
    """All that a store says of the files of a table, by the log."""
    slices = sorted(tuple(sorted(at.items())) for at in store.slices(CLIP_SCORES))
    files = [store.files_of(CLIP_SCORES, None, at) for at in ({}, {"source": HOSTILE["source"]})]
    return slices, store.groups(CLIP_SCORES), files, store.lost_groups(CLIP_SCORES)


def handle(store: TableStore) -> DeltaTable:
    return DeltaTable(store.uri(CLIP_SCORES))


def compact(store: TableStore) -> None:
    rows = handle(store).to_pyarrow_table()
    for _ in range(2):
        write_deltalake(handle(store), rows, mode="append")
    handle(store).optimize.compact()


def restore(store: TableStore) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.4))
    handle(store).restore(handle(store).version() - 1)


def add_a_column(store: TableStore) -> None:
    rows = pl.read_delta(store.uri(CLIP_SCORES)).with_columns(later=pl.lit(1)).to_arrow()
    write_deltalake(handle(store), rows, mode="append", schema_mode="merge")


CHANGES: tuple[Change, ...] = (
    lambda store: store.replace(CLIP_SCORES, AT, scores(0.2)),
    lambda store: store.replace(CLIP_SCORES, OTHER, scores(0.2, 0.3)),
    lambda store: store.replace(CLIP_SCORES, HOSTILE, scores(0.2)),
    lambda store: store.replace(CLIP_SCORES, AT, scores()),
    lambda store: store.remove(CLIP_SCORES, HOSTILE),
    compact,
    restore,
    add_a_column,
)


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(st.sampled_from(CHANGES), max_size=3), max_size=4))
def test_a_store_says_after_any_commits_what_a_new_one_says(
    store: TableStore, waves: list[list[Change]]
) -> None:
    for changes in waves:
        for change in changes:
            change(TableStore(store.root))
        assert listed(store) == listed(TableStore(store.root))


@pytest.mark.parametrize("change", CHANGES)
def test_commits_are_followed_without_opening_the_table(
    store: TableStore, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TableStore(store.root)
    other.replace(CLIP_SCORES, HOSTILE, scores(0.5))
    change(other)
    expected = listed(TableStore(store.root))
    monkeypatch.setattr(TableStore, "open", lambda *_: pytest.fail("opened again"))
    assert listed(store) == expected


def test_the_first_listing_is_that_of_the_opened_table(store: TableStore) -> None:
    assert FixedTables(store.root).slices(CLIP_SCORES) == [AT]
    for change in CHANGES:
        change(store)
        assert listed(TableStore(store.root)) == listed(FixedTables(store.root))
    # Cleaning a log, after a checkpoint, begins with the oldest entries.
    handle(store).create_checkpoint()
    entry_file(store.uri(CLIP_SCORES), 0).unlink()
    store.replace(CLIP_SCORES, HOSTILE, scores(0.7))
    assert listed(TableStore(store.root)) == listed(FixedTables(store.root)) == listed(store)


def test_there_is_nothing_to_list_of_no_table(tmp_path: Path) -> None:
    store = TableStore(str(tmp_path))
    assert store.slices(CLIP_SCORES) == []
    store.create(CLIP_SCORES)
    assert store.slices(CLIP_SCORES) == store.lost(CLIP_SCORES) == []
    assert store.files_of(CLIP_SCORES, None, {}) == {}


def test_after_many_commits_the_table_is_opened(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_entries, "MOST_ENTRIES", 1)
    folder, version = store.uri(CLIP_SCORES), store.version(CLIP_SCORES) or 0
    end = end_of_log(folder, version) or ()
    CHANGES[0](store)
    assert file_changes(folder, version, end)
    CHANGES[1](store)
    assert file_changes(folder, version, end) is None
    assert listed(store) == listed(TableStore(store.root))


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"1", b'{"add": 1}', b'{"remove": {}}', b'{"cdc": {}}', b"\0", b"["]
)
def test_an_entry_that_is_not_understood_is_left_to_delta(store: TableStore, line: bytes) -> None:
    folder, version = store.uri(CLIP_SCORES), store.version(CLIP_SCORES) or 0
    end = end_of_log(folder, version) or ()
    CHANGES[0](TableStore(store.root))
    entry = entry_file(folder, version + 1)
    whole = entry.read_bytes()
    entry.write_bytes(whole + b"\n" + line if line else line)
    assert file_changes(folder, version, end) is None
    entry.write_bytes(whole + b"\n{}")
    assert file_changes(folder, version, end)
    assert file_changes(folder, version, (0, *end[1:])) is None


def test_a_damaged_entry_is_said_though_the_table_was_listed_before(store: TableStore) -> None:
    CHANGES[1](TableStore(store.root))
    entry = entry_file(store.uri(CLIP_SCORES), store.version(CLIP_SCORES) or 0)
    entry.write_bytes(entry.read_bytes()[:-9])
    with pytest.raises(StorageError, match="the last entry of its log, is damaged or empty"):
        store.slices(CLIP_SCORES)


def test_a_table_that_was_made_again_is_listed_again(store: TableStore) -> None:
    shutil.rmtree(store.uri(CLIP_SCORES))
    for change in CHANGES[1:3]:
        change(TableStore(store.root))
    assert listed(store) == listed(TableStore(store.root))


def test_fixed_tables_list_what_they_listed_first(store: TableStore) -> None:
    fixed = FixedTables(store.root)
    first = listed(fixed)
    CHANGES[1](store)
    assert listed(fixed) == listed(fixed) == first != listed(store)
