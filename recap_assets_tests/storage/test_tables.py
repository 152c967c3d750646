"""Slices are replaced whole, equal content is not written twice, nothing half-written is seen."""

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable

from recap_assets.specs.tables import CLIP_SCORES, DIVERSITY_SUMMARY, TABLES
from recap_assets.storage import tables as module
from recap_assets.storage.tables import StorageError, TableStore

AT = {"scorer": "clip", "source": "raw", "partition": "00000"}


def scores(*values: float | None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "shard": [0] * len(values),
            "uid": [bytes([i]) * 16 for i in range(len(values))],
            "candidate": [0] * len(values),
            "score": list(values),
        },
        schema={name: CLIP_SCORES.schema[name] for name in ("shard", "uid", "candidate", "score")},
    )


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path / "tables"))


def test_a_slice_is_replaced_and_its_neighbours_stay(store: TableStore) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.1, 0.2))
    store.replace(CLIP_SCORES, {**AT, "partition": "00001"}, scores(0.5))
    store.replace(CLIP_SCORES, AT, scores(0.3))
    kept = store.read(CLIP_SCORES).sort("partition").select("partition", "score")
    assert kept.rows() == [("00000", pytest.approx(0.3)), ("00001", pytest.approx(0.5))]


def test_equal_content_is_not_written_again(store: TableStore) -> None:
    first = store.replace(CLIP_SCORES, AT, scores(0.1, None))
    version = store.version(CLIP_SCORES)
    again = store.replace(
        CLIP_SCORES, AT, scores(0.1, None).reverse(), known_version=first.data_version
    )
    assert (again.data_version, again.rewritten) == (first.data_version, False)
    assert store.version(CLIP_SCORES) == version


def test_a_slice_that_is_gone_is_written_again_though_its_version_is_known(
    store: TableStore,
) -> None:
    first = store.replace(CLIP_SCORES, AT, scores(0.1))
    store.remove(CLIP_SCORES, AT)
    assert store.read(CLIP_SCORES).is_empty()
    again = store.replace(CLIP_SCORES, AT, scores(0.1), known_version=first.data_version)
    assert again.rewritten
    assert store.read(CLIP_SCORES).height == 1


def test_an_empty_slice_replaces_what_was_there(store: TableStore) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.1))
    store.replace(CLIP_SCORES, AT, scores())
    assert store.read(CLIP_SCORES).is_empty()


def test_a_score_that_is_no_number_is_refused_and_the_old_content_stays(store: TableStore) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.1))
    with pytest.raises(StorageError, match="clip_scores"):
        store.replace(CLIP_SCORES, AT, scores(float("nan")))
    assert store.read(CLIP_SCORES)["score"].to_list() == [pytest.approx(0.1)]


def test_wrong_columns_types_and_nulls_are_named(store: TableStore) -> None:
    with pytest.raises(StorageError, match="score: has Float64, needs Float32"):
        store.replace(CLIP_SCORES, AT, scores(0.1).cast({"score": pl.Float64}))
    with pytest.raises(StorageError, match="1 null values in column uid"):
        store.replace(CLIP_SCORES, AT, scores(0.1).with_columns(uid=pl.lit(None, pl.Binary)))
    with pytest.raises(StorageError, match="a slice is named by"):
        store.replace(CLIP_SCORES, {"scorer": "clip"}, scores(0.1))


def test_slices_written_at_once_do_not_collide(store: TableStore) -> None:
    store.create(CLIP_SCORES)

    def write(i: int) -> None:
        store.replace(CLIP_SCORES, {**AT, "partition": f"{i:05d}"}, scores(i / 10))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(8)))
    assert store.read(CLIP_SCORES)["partition"].n_unique() == 8


def test_a_full_disk_is_said_in_words_and_changes_nothing(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.1))

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_deltalake", full)
        with pytest.raises(StorageError, match="no space left on the disk; nothing was changed"):
            store.replace(CLIP_SCORES, AT, scores(0.9))
    assert store.read(CLIP_SCORES)["score"].to_list() == [pytest.approx(0.1)]
    store.replace(CLIP_SCORES, AT, scores(0.9))
    assert store.read(CLIP_SCORES)["score"].to_list() == [pytest.approx(0.9)]


def test_a_writer_that_died_before_its_commit_leaves_the_table_as_it_was(store: TableStore) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.1))
    folder = Path(store.uri(CLIP_SCORES))
    (orphan := next(folder.rglob("*.parquet")).with_name("part-orphan.parquet")).write_bytes(
        b"half"
    )
    assert store.read(CLIP_SCORES).height == 1
    assert orphan.exists()


def test_the_log_keeps_the_data_version_and_the_facts(store: TableStore) -> None:
    written = store.replace(CLIP_SCORES, AT, scores(0.1), commit={"recap.fingerprint": "f"})
    newest = DeltaTable(store.uri(CLIP_SCORES)).history(1)[0]
    assert newest["recap.data_version"] == written.data_version
    assert newest["recap.fingerprint"] == "f"


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_opens_in_plain_polars_and_duckdb(store: TableStore, name: str) -> None:
    table = TABLES[name]
    store.create(table)
    assert pl.read_delta(store.uri(table)).columns == list(table.columns)
    files = Path(store.uri(table)).rglob("*.parquet")
    assert not list(files)


def test_plain_polars_and_duckdb_see_the_rows(store: TableStore) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.1, 0.4))
    uri = store.uri(CLIP_SCORES)
    assert pl.read_delta(uri)["score"].sum() == pytest.approx(0.5)
    frame = pl.scan_delta(uri).collect()
    assert duckdb.sql("SELECT count(*) FROM frame").fetchall() == [(2,)]
    assert frame.height == 2
    paths = DeltaTable(uri).file_uris()
    total = duckdb.read_parquet(paths).sum("score").fetchall()[0][0]
    assert total == pytest.approx(0.5)


def test_a_table_without_slices_is_replaced_as_a_whole(store: TableStore) -> None:
    row = {
        name: ["x"] if dtype == pl.String else [[]] if dtype.is_nested() else [1]
        for name, dtype in DIVERSITY_SUMMARY.schema.items()
    }
    frame = pl.DataFrame(row, schema=DIVERSITY_SUMMARY.schema)
    store.replace(DIVERSITY_SUMMARY, {}, frame)
    store.replace(DIVERSITY_SUMMARY, {}, frame)
    assert store.read(DIVERSITY_SUMMARY).height == 1
    assert store.has(DIVERSITY_SUMMARY, {})
    store.replace(DIVERSITY_SUMMARY, {}, frame.clear())
    assert not store.has(DIVERSITY_SUMMARY, {})
