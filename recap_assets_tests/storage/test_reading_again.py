"""A table that is read again is opened again where something was committed, by whomever."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.storage import handles
from recap_assets.storage.locations import LocatedTable
from recap_assets.storage.tables import FixedTables, TableStore


def rows(*uids: bytes) -> pl.DataFrame:
    samples = [{"shard": 0, "uid": uid, "key": "k", "status": "ok"} for uid in uids]
    return pl.DataFrame(samples, schema=RAW_POOL.unsliced)


def fill(store: TableStore, *uids: bytes) -> None:
    store.replace(RAW_POOL, {"partition": "00000"}, rows(*uids))


def uids_in(store: TableStore) -> list[bytes]:
    return store.read(RAW_POOL)["uid"].sort().to_list()


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    store = TableStore(str(tmp_path))
    assert uids_in(store) == []
    fill(store, b"a")
    assert uids_in(store) == [b"a"]
    return store


def test_without_a_commit_it_is_opened_once(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    class Counted(LocatedTable):
        def __init__(self, uri: str, *others: object) -> None:
            opened.append(uri)
            super().__init__(uri, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(handles, "LocatedTable", Counted)
    assert [uids_in(store) for _ in range(3)] == [[b"a"]] * 3
    assert not opened
    fill(store, b"b")
    opened.clear()
    assert [uids_in(store) for _ in range(3)] == [[b"b"]] * 3
    assert opened == [store.uri(RAW_POOL)]


def test_a_commit_of_another_is_read(store: TableStore) -> None:
    fill(TableStore(store.root), b"b", b"c")
    assert uids_in(store) == [b"b", b"c"]
    assert store.read(RAW_POOL, version=0).is_empty()
    assert uids_in(store) == [b"b", b"c"]


def test_a_table_that_was_removed_or_made_again_is_read_as_it_is(store: TableStore) -> None:
    shutil.rmtree(store.uri(RAW_POOL))
    assert uids_in(store) == []
    fill(TableStore(store.root), b"d")
    assert uids_in(store) == [b"d"]
    shutil.rmtree(store.uri(RAW_POOL))
    fill(TableStore(store.root), b"e")
    assert uids_in(store) == [b"e"]


def test_fixed_tables_stay_at_what_they_read_first(store: TableStore) -> None:
    fixed = FixedTables(store.root)
    assert uids_in(fixed) == [b"a"]
    fill(store, b"b")
    assert uids_in(fixed) == [b"a"]
