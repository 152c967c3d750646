"""What is pinned stays and reads back as it was; what nothing needs goes, once it is old enough."""

import json
import os
import time
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

from recap_assets.artefacts.catalogue import TABLES
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.artefacts.table import Table
from recap_assets.storage import retention
from recap_assets.storage.content import frame_version
from recap_assets.storage.retention import (
    GUARD,
    LOG_RETENTION,
    MANY_FILES,
    Collected,
    collect,
    compact,
)
from recap_assets.storage.rows import conform
from recap_assets.storage.tables import TableStore
from recap_assets_tests.storage.test_tables import AT, EVENTS, events, scores

DAY = 24 * 3600.0


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path / "tables"))


def folder(store: TableStore, table: Table = CLIP_SCORES) -> Path:
    return Path(store.uri(table))


def data_files(store: TableStore, table: Table = CLIP_SCORES) -> set[Path]:
    return {path for path in folder(store, table).rglob("part-*") if path.is_file()}


def age(store: TableStore, table: Table = CLIP_SCORES, days: float = 40) -> None:
    """Make everything of a table look as if it had been written days ago."""
    then = time.time() - days * DAY
    for entry in folder(store, table).glob("_delta_log/*.json"):
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        for action in actions:
            if "remove" in action:
                action["remove"]["deletionTimestamp"] = int(then * 1000)
        entry.write_text("".join(json.dumps(action) + "\n" for action in actions))
    for path in folder(store, table).rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def run(
    store: TableStore,
    pins: Collection[int] = (),
    *,
    table: Table = CLIP_SCORES,
    dry_run: bool = False,
    keep: timedelta = GUARD,
) -> Collected:
    (report,) = collect(store, [table], {table.name: pins}, dry_run=dry_run, keep=keep)
    return report


def three_versions(store: TableStore) -> list[int]:
    versions = [store.replace(CLIP_SCORES, AT, scores(i / 10)).table_version for i in range(3)]
    return [version for version in versions if version is not None]


def test_a_pinned_version_reads_back_as_it_was_and_an_unpinned_one_goes(store: TableStore) -> None:
    first, second, third = three_versions(store)
    content = frame_version(store.read(CLIP_SCORES, first))
    (freed,) = DeltaTable(store.uri(CLIP_SCORES), version=second).get_add_actions()["size_bytes"]
    age(store)
    report = run(store, [first])
    assert report.kept_versions == (first, third)
    assert (report.n_files, report.n_bytes, report.refused) == (1, freed.as_py(), None)
    assert frame_version(store.read(CLIP_SCORES, first)) == content
    assert store.read(CLIP_SCORES)["score"].to_list() == [pytest.approx(0.2)]
    with pytest.raises(Exception, match=f"version {second}: its files were vacuumed"):
        store.read(CLIP_SCORES, second)


def test_a_dry_run_tells_the_same_and_touches_nothing(store: TableStore) -> None:
    first, *_ = three_versions(store)
    age(store)
    before = {path: path.stat().st_mtime_ns for path in folder(store).rglob("*")}
    told = run(store, [first], dry_run=True)
    assert {path: path.stat().st_mtime_ns for path in folder(store).rglob("*")} == before
    done = run(store, [first])
    assert (told.n_files, told.n_bytes) == (done.n_files, done.n_bytes) == (1, told.n_bytes)
    again = run(store, [first])
    assert (again.n_files, again.n_young_files) == (0, 0)


@pytest.mark.parametrize("dry_run", [True, False])
def test_it_is_said_how_many_rows_no_build_can_take_over_any_more(
    store: TableStore,
    dry_run: bool,
) -> None:
    hashed = scores(0.1).with_columns(input_hash=pl.lit(b"h" * 16))
    unknown = scores(0.2).with_columns(input_hash=pl.lit(None, pl.Binary))
    for rows in (hashed, unknown, scores(0.3)):
        store.replace(CLIP_SCORES, AT, rows)
    age(store)
    report = run(store, dry_run=dry_run)
    assert (report.n_files, report.n_rows) == (2, hashed.height)


def test_what_was_replaced_a_moment_ago_stays_for_a_week(store: TableStore) -> None:
    three_versions(store)
    report = run(store)
    assert (report.n_files, report.n_young_files) == (0, 2)
    assert report.n_young_bytes > 0
    assert len(data_files(store)) == 3


def test_orphans_of_a_killed_writer_go_and_a_young_one_stays(store: TableStore) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.1))
    age(store)
    place = next(iter(data_files(store))).parent
    old, young = place / "part-old.parquet", place / "part-young.parquet"
    for orphan, days in ((old, 8), (young, 6)):
        scores(0.5).write_parquet(orphan)
        os.utime(orphan, (time.time() - days * DAY,) * 2)
    report = run(store)
    assert (report.n_files, report.n_young_files) == (1, 1)
    assert not old.exists()
    assert young.exists()
    assert store.read(CLIP_SCORES).height == 1


def test_files_may_be_kept_longer_but_not_shorter_than_the_guard(store: TableStore) -> None:
    three_versions(store)
    age(store, days=20)
    assert run(store, keep=timedelta(days=30)).n_files == 0
    with pytest.raises(ValueError, match="7 days at least"):
        run(store, keep=timedelta(days=6))
    assert run(store).n_files == 2


def test_a_pinned_version_that_cannot_be_opened_stops_the_cleaning_of_its_table(
    store: TableStore,
) -> None:
    three_versions(store)
    store.append(EVENTS, events(1))
    age(store)
    pins = {"clip_scores": [77]}
    report, other = collect(store, [CLIP_SCORES, EVENTS], pins, dry_run=False)
    assert report.refused is not None
    assert "version 77 is pinned but cannot be opened" in report.refused
    assert len(data_files(store)) == 3
    assert (other.table, other.refused) == ("events", None)


def test_tables_that_are_not_there_are_passed_over(store: TableStore) -> None:
    assert collect(store, TABLES.values(), {}, dry_run=False) == []


def test_the_log_is_trimmed_below_the_oldest_pinned_version_only(store: TableStore) -> None:
    versions = [store.replace(CLIP_SCORES, AT, scores(i / 100)).table_version for i in range(12)]
    pinned = versions[4]
    assert pinned is not None
    content = frame_version(store.read(CLIP_SCORES, pinned))
    age(store, days=LOG_RETENTION.days + 1)
    told = run(store, [pinned], dry_run=True)
    report = run(store, [pinned])
    assert told.n_log_files == report.n_log_files == pinned
    assert frame_version(store.read(CLIP_SCORES, pinned)) == content
    assert store.read(CLIP_SCORES)["score"].to_list() == [pytest.approx(0.11)]
    assert min(path.name for path in folder(store).glob("_delta_log/0*")).startswith(
        f"{pinned:020}"
    )
    store.replace(CLIP_SCORES, AT, scores(0.9))
    assert frame_version(store.read(CLIP_SCORES, pinned)) == content
    assert run(store, [pinned]).n_log_files == 0


def test_young_log_entries_stay(store: TableStore) -> None:
    three_versions(store)
    age(store, days=LOG_RETENTION.days - 1)
    assert run(store).n_log_files == 0


def test_delta_does_not_clean_the_log_of_our_tables_by_itself(store: TableStore) -> None:
    first, *_ = three_versions(store)
    age(store, days=400)
    delta = DeltaTable(store.uri(CLIP_SCORES))
    delta.create_checkpoint()
    delta.cleanup_metadata()
    assert store.read(CLIP_SCORES, first)["score"].to_list() == [pytest.approx(0.0)]


def test_a_table_of_an_earlier_release_learns_not_to_clean_its_log(store: TableStore) -> None:
    DeltaTable.create(
        store.uri(CLIP_SCORES),
        schema=CLIP_SCORES.empty().to_arrow().schema,
        partition_by=list(CLIP_SCORES.slices),
    )
    store.replace(CLIP_SCORES, AT, scores(0.1))
    settings = DeltaTable(store.uri(CLIP_SCORES)).metadata().configuration
    assert settings["delta.enableExpiredLogCleanup"] == "false"
    assert "delta.constraints.score_is_finite" in settings


def test_many_small_appends_are_merged_as_the_writer_would_write_them(store: TableStore) -> None:
    for i in range(MANY_FILES):
        store.append(EVENTS, events(*range(i * 20_000, (i + 1) * 20_000)))
    before = frame_version(store.read(EVENTS))
    told = run(store, table=EVENTS, dry_run=True)
    report = run(store, table=EVENTS)
    assert told.n_small_files == report.n_small_files == MANY_FILES
    assert frame_version(store.read(EVENTS)) == before
    (path,) = DeltaTable(store.uri(EVENTS)).file_uris()
    metadata = pq.ParquetFile(path).metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [131_072, 160_000 - 131_072]
    assert {group.column(0).compression for group in groups} == {"ZSTD"}
    assert len(data_files(store, EVENTS)) == MANY_FILES + 1
    store.append(EVENTS, events(-1))
    assert store.read(EVENTS).height == 160_001


def test_only_crowded_slices_are_merged(store: TableStore) -> None:
    other = {**AT, "partition": "00001", "source": "a b+c"}
    for at in (AT, other):
        store.replace(CLIP_SCORES, at, scores(0.1))
    rows = store.read(CLIP_SCORES, source="a b+c")
    for _ in range(MANY_FILES):
        rows.write_delta(store.uri(CLIP_SCORES), mode="append")
    assert compact(store, CLIP_SCORES) == MANY_FILES + 1
    assert store.read(CLIP_SCORES, source="a b+c").height == MANY_FILES + 1
    assert store.read(CLIP_SCORES, source="raw")["score"].to_list() == [pytest.approx(0.1)]
    assert compact(store, CLIP_SCORES) == 0
    age(store)
    report = run(store)
    assert (report.n_files, report.n_young_files) == (MANY_FILES + 1, 0)


def test_an_empty_table_has_nothing_to_give(store: TableStore) -> None:
    store.create(CLIP_SCORES)
    report = run(store)
    assert (report.n_files, report.n_young_files, report.n_small_files) == (0, 0, 0)
    assert isinstance(store.read(CLIP_SCORES), pl.DataFrame)


def test_a_slice_that_a_writer_replaced_meanwhile_is_left_for_the_next_time(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = conform(CLIP_SCORES, AT, scores(0.1))
    store.create(CLIP_SCORES)
    for _ in range(MANY_FILES):
        rows.write_delta(store.uri(CLIP_SCORES), mode="append")
    look = retention._crowded_slices

    def overtaken(*args: object) -> object:
        found = look(*args)
        store.replace(CLIP_SCORES, AT, scores(0.9))
        return found

    monkeypatch.setattr(retention, "_crowded_slices", overtaken)
    assert compact(store, CLIP_SCORES) == 0
    assert store.read(CLIP_SCORES)["score"].to_list() == [pytest.approx(0.9)]


def test_a_log_that_was_trimmed_by_half_reads_on_and_is_trimmed_on(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [store.replace(CLIP_SCORES, AT, scores(i / 100)).table_version for i in range(9)]
    pinned = versions[6]
    assert pinned is not None
    content = frame_version(store.read(CLIP_SCORES, pinned))
    age(store, days=LOG_RETENTION.days + 1)
    delete, deleted = DeltaStorageHandler.delete_file, []

    def die(handler: DeltaStorageHandler, path: str) -> None:
        if len(deleted) == 3:
            raise KeyboardInterrupt
        deleted.append(path)
        delete(handler, path)

    with monkeypatch.context() as patch:
        patch.setattr(DeltaStorageHandler, "delete_file", die)
        with pytest.raises(KeyboardInterrupt):
            run(store, [pinned])
    assert frame_version(store.read(CLIP_SCORES, pinned)) == content
    assert store.read(CLIP_SCORES)["score"].to_list() == [pytest.approx(0.08)]
    assert run(store, [pinned]).n_log_files == pinned - 3
    assert frame_version(store.read(CLIP_SCORES, pinned)) == content
