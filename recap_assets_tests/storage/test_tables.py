"""Slices are replaced whole, equal content is not written twice, nothing half-written is seen."""

import errno
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable

from recap_assets.artefacts.catalogue import TABLES
from recap_assets.artefacts.diversity import DIVERSITY_SUMMARY
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.artefacts.table import Column, Table
from recap_assets.storage import handles
from recap_assets.storage import tables as module
from recap_assets.storage.tables import StorageError, TableStore

EVENTS = Table(
    "events",
    "What happened.",
    {"day": Column(pl.String, "Day."), "number": Column(pl.Int64, "Number of the event.")},
    slices=(),
    order=("number",),
    append_only=True,
)
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


def test_a_constraint_of_an_earlier_release_goes_when_the_table_is_next_written(
    store: TableStore,
) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.1))
    rule = {"score_is_a_cosine": "score IS NULL OR (score >= -1.001 AND score <= 1.001)"}
    DeltaTable(store.uri(CLIP_SCORES)).alter.add_constraint(rule)
    store.replace(CLIP_SCORES, {**AT, "partition": "00001"}, scores(7.0))
    assert sorted(store.read(CLIP_SCORES)["score"]) == [pytest.approx(0.1), 7.0]
    settings = DeltaTable(store.uri(CLIP_SCORES)).metadata().configuration
    kept = {name for name in settings if name.startswith("delta.constraints.")}
    assert kept == {"delta.constraints.score_is_finite"}


def test_rows_from_before_a_column_count_as_its_default(store: TableStore) -> None:
    old = replace(CLIP_SCORES, name="later")
    later = replace(old, columns={**old.columns, "n": Column(pl.Int32, "Later.", default=1)})
    first = store.replace(old, AT, scores(0.1, 0.2))
    assert store.read(later)["n"].to_list() == [1, 1]
    again = store.replace(later, AT, scores(0.1, 0.2), known_version=first.data_version)
    assert (again.data_version, again.rewritten) == (first.data_version, False)
    beside = {**AT, "partition": "00001"}
    twice = scores(0.5).with_columns(n=pl.lit(2, pl.Int32))
    other = store.replace(later, beside, twice)
    assert store.read(later).sort("partition")["n"].to_list() == [1, 1, 2]
    assert other.data_version != store.replace(later, beside, scores(0.5)).data_version
    assert store.read(old).columns == list(old.columns)


def test_equal_content_is_not_written_again(store: TableStore) -> None:
    first = store.replace(CLIP_SCORES, AT, scores(0.1, None))
    version = store.version(CLIP_SCORES)
    again = store.replace(
        CLIP_SCORES, AT, scores(0.1, None).reverse(), known_version=first.data_version
    )
    assert (again.data_version, again.rewritten) == (first.data_version, False)
    assert store.version(CLIP_SCORES) == version


def test_what_was_measured_on_the_way_makes_no_other_version(store: TableStore) -> None:
    timed = replace(
        CLIP_SCORES,
        name="timed",
        columns={**CLIP_SCORES.columns, "seconds": Column(pl.Float64, "s", is_content=False)},
    )
    first = store.replace(timed, AT, scores(0.1).with_columns(seconds=1.0))
    other = store.replace(
        timed, AT, scores(0.1).with_columns(seconds=2.0), known_version=first.data_version
    )
    assert (other.data_version, other.table_version) == (first.data_version, None)
    assert store.read(timed)["seconds"].to_list() == [1.0]


def test_a_slice_that_is_gone_is_written_again_though_its_version_is_known(
    store: TableStore,
) -> None:
    first = store.replace(CLIP_SCORES, AT, scores(0.1))
    store.remove(CLIP_SCORES, AT)
    assert store.read(CLIP_SCORES).is_empty()
    again = store.replace(CLIP_SCORES, AT, scores(0.1), known_version=first.data_version)
    assert again.rewritten
    assert store.read(CLIP_SCORES).height == 1


@pytest.mark.parametrize("n_bytes", [None, 0, 700])
def test_a_slice_whose_file_is_gone_or_cut_is_told_and_written_again(
    tmp_path: Path, n_bytes: int | None
) -> None:
    store = TableStore(str(tmp_path / "with space" / "tables"))
    at, other = {**AT, "source": "r w%c"}, {**AT, "partition": "00001"}
    first = store.replace(CLIP_SCORES, at, scores(0.1))
    store.replace(CLIP_SCORES, other, scores(0.5))
    assert store.lost(CLIP_SCORES) == []
    (file,) = [one for one in tmp_path.rglob("*.parquet") if "partition=00000" in str(one)]
    file.unlink() if n_bytes is None else file.write_bytes(file.read_bytes()[:n_bytes])
    assert store.lost(CLIP_SCORES) == [at]
    assert store.lost(CLIP_SCORES, other) == []
    again = store.replace(CLIP_SCORES, at, scores(0.1), known_version=first.data_version)
    assert (again.rewritten, store.lost(CLIP_SCORES)) == (True, [])
    assert store.read(CLIP_SCORES).height == 2


def test_a_listing_is_kept_while_the_log_ends_as_it_did_and_no_longer(
    store: TableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, other = TableStore(store.root), {**AT, "partition": "00001"}
    store.replace(CLIP_SCORES, AT, scores(0.1))
    of_source = (AT["scorer"], AT["source"])
    assert store.groups(CLIP_SCORES) == {of_source: {"00000"}}
    with monkeypatch.context() as patch:
        patch.setattr(TableStore, "open", lambda *_: pytest.fail("opened again"))
        assert store.slices(CLIP_SCORES) == [AT]
        assert store.lost_groups(CLIP_SCORES) == {}
        next(tmp_path.rglob("*.parquet")).unlink()
        assert store.lost_groups(CLIP_SCORES) == {of_source: {"00000"}}
    elsewhere.replace(CLIP_SCORES, other, scores(0.5))
    assert store.groups(CLIP_SCORES) == {of_source: {"00000", "00001"}}
    shutil.rmtree(store.uri(CLIP_SCORES))
    assert store.groups(CLIP_SCORES) == {}
    elsewhere.replace(CLIP_SCORES, other, scores(0.5))
    elsewhere.replace(CLIP_SCORES, {**AT, "source": "b"}, scores(0.5))
    assert store.groups(CLIP_SCORES) == {of_source: {"00001"}, (AT["scorer"], "b"): {"00000"}}


def test_a_table_without_slices_whose_file_is_gone_is_told(
    store: TableStore, tmp_path: Path
) -> None:
    assert store.lost(EVENTS) == []
    store.append(EVENTS, pl.DataFrame({"day": ["a"], "number": [1]}))
    assert store.lost(EVENTS) == []
    next(tmp_path.rglob("*.parquet")).unlink()
    assert store.lost(EVENTS) == [{}]


def test_an_empty_slice_replaces_what_was_there(store: TableStore) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.1))
    store.replace(CLIP_SCORES, AT, scores())
    assert store.read(CLIP_SCORES).is_empty()


def test_a_table_from_before_a_column_was_added_takes_it_on(store: TableStore) -> None:
    columns = {k: column for k, column in CLIP_SCORES.columns.items() if k != "candidate"}
    before = replace(CLIP_SCORES, columns=columns, order=("shard", "uid"))
    other = {**AT, "partition": "00001"}
    store.replace(before, other, scores(0.1).drop("candidate"))
    store.replace(CLIP_SCORES, AT, scores(0.5))
    rows = store.read(CLIP_SCORES).sort("partition").select("partition", "candidate")
    assert rows.rows() == [("00000", 0), ("00001", None)]


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


def events(*numbers: int) -> pl.DataFrame:
    rows = {"number": list(numbers), "day": ["monday"] * len(numbers)}
    return pl.DataFrame(rows, schema={"number": pl.Int64, "day": pl.String})


def test_appended_rows_come_after_those_that_are_there(store: TableStore) -> None:
    first = store.append(EVENTS, events(1, 2), commit={"recap.run": "a"})
    second = store.append(EVENTS, events(3))
    assert store.read(EVENTS).sort("number")["number"].to_list() == [1, 2, 3]
    assert first.table_version is not None
    assert second.table_version == first.table_version + 1
    assert DeltaTable(store.uri(EVENTS)).history(2)[1]["recap.run"] == "a"


def test_nothing_to_append_makes_no_commit(store: TableStore) -> None:
    store.append(EVENTS, events(1))
    version = store.version(EVENTS)
    nothing = store.append(EVENTS, events())
    assert (nothing.rewritten, nothing.n_bytes, store.version(EVENTS)) == (False, 0, version)


def test_appends_at_once_all_arrive(store: TableStore) -> None:
    store.create(EVENTS)
    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(lambda i: store.append(EVENTS, events(i)), range(12)))
    assert store.read(EVENTS)["number"].sort().to_list() == list(range(12))
    assert len({done.table_version for done in written}) == 12


def test_an_append_is_checked_like_a_replacement(store: TableStore) -> None:
    with pytest.raises(StorageError, match="events: number: has None, needs Int64"):
        store.append(EVENTS, events(1).drop("number"))
    with pytest.raises(StorageError, match="1 null values in column day"):
        store.append(EVENTS, events(1).with_columns(day=pl.lit(None, pl.String)))


def test_each_verb_refuses_the_other_kind_of_table(store: TableStore) -> None:
    with pytest.raises(StorageError, match="events cannot replace: it is append-only"):
        store.replace(EVENTS, {}, events(1))
    with pytest.raises(StorageError, match="events cannot remove: it is append-only"):
        store.remove(EVENTS, {})
    with pytest.raises(StorageError, match="clip_scores cannot append: it is replaced by slices"):
        store.append(CLIP_SCORES, scores(0.1))
    assert store.version(EVENTS) is store.version(CLIP_SCORES) is None


def test_an_older_version_reads_as_it_was(store: TableStore) -> None:
    first = store.replace(CLIP_SCORES, AT, scores(0.1, 0.2))
    store.replace(CLIP_SCORES, {**AT, "partition": "00001"}, scores(0.5))
    store.replace(CLIP_SCORES, AT, scores(0.3))
    assert store.read(CLIP_SCORES, first.table_version).height == 2
    then = store.read(CLIP_SCORES, first.table_version, partition="00000")
    assert then["score"].to_list() == [pytest.approx(0.1), pytest.approx(0.2)]
    assert store.scan(CLIP_SCORES, partition="00000").collect().height == 1


def test_a_version_that_is_gone_is_said_in_words(store: TableStore) -> None:
    with pytest.raises(StorageError, match="at version 0: there is no table"):
        store.read(CLIP_SCORES, 0)
    first = store.replace(CLIP_SCORES, AT, scores(0.1))
    assert first.table_version is not None
    store.replace(CLIP_SCORES, AT, scores(0.2))
    with pytest.raises(StorageError, match="at version 99: the Delta log does not reach it"):
        store.scan(CLIP_SCORES, 99)
    DeltaTable(store.uri(CLIP_SCORES)).vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(StorageError, match=r"its files were vacuumed .*`recap reproduce`"):
        store.read(CLIP_SCORES, first.table_version)
    assert store.read(CLIP_SCORES).height == 1
    (Path(store.uri(CLIP_SCORES)) / f"_delta_log/{first.table_version:020}.json").unlink()
    with pytest.raises(StorageError, match=r"clip_scores .* cannot be"):
        store.read(CLIP_SCORES, first.table_version)


def test_a_file_that_was_deleted_from_the_current_version_is_said_otherwise(
    store: TableStore,
) -> None:
    written = store.replace(CLIP_SCORES, AT, scores(0.1))
    next(Path(store.uri(CLIP_SCORES)).rglob("*.parquet")).unlink()
    for version in (None, written.table_version):
        with pytest.raises(StorageError, match="remove the table's folder and build again"):
            store.read(CLIP_SCORES, version)


def test_a_write_tells_its_own_version_and_bytes_whoever_commits_meanwhile(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**AT, "partition": "00001"}
    store.replace(CLIP_SCORES, AT, scores(0.1))
    plain = module.write_deltalake

    def overtaken(*args: object, **kwargs: object) -> None:
        monkeypatch.setattr(module, "write_deltalake", plain)
        store.replace(CLIP_SCORES, other, scores(*(i / 1000 for i in range(200))))
        plain(*args, **kwargs)
        store.replace(CLIP_SCORES, other, scores(0.7))

    folder = Path(store.uri(CLIP_SCORES)) / "scorer=clip/source=raw/partition=00000"
    before = set(folder.glob("*.parquet"))
    monkeypatch.setattr(module, "write_deltalake", overtaken)
    written = store.replace(CLIP_SCORES, AT, scores(0.2))
    assert written.table == "clip_scores"
    assert written.table_version is not None
    assert written.table_version + 1 == store.version(CLIP_SCORES)
    (newest,) = set(folder.glob("*.parquet")) - before
    assert written.n_bytes == newest.stat().st_size
    again = store.replace(CLIP_SCORES, AT, scores(0.2), known_version=written.data_version)
    assert (again.table, again.n_bytes) == ("clip_scores", 0)


def test_the_version_of_a_moment(store: TableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "HISTORY", 2)
    assert store.version_at(CLIP_SCORES, datetime.now(UTC)) is None
    before = datetime.now(UTC) - timedelta(seconds=1)
    versions, moments = [], []
    for i in range(10):
        versions.append(store.replace(CLIP_SCORES, AT, scores(i / 100)).table_version)
        moments.append(datetime.now(UTC) + timedelta(milliseconds=1))
        while datetime.now(UTC) < moments[-1]:
            pass
    assert store.version_at(CLIP_SCORES, before) is None
    assert [store.version_at(CLIP_SCORES, moment) for moment in moments] == versions
