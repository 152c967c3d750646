"""What a disk or lost records do is said in one sentence with what to do."""

import errno
import io
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.errors import DagsterInvalidInvocationError
from sqlalchemy.exc import OperationalError

from recap_assets.defs.damaged_files import EVENT_LOG, NO_TEXT, SUSPECT, put_aside_damaged
from recap_assets.defs.failures import WithoutLoggerErrors, in_words, shorten_retries
from recap_assets.defs.platform import definitions_of
from recap_assets.defs.session import Session
from recap_assets.storage.errors import StorageError

TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


@pytest.fixture(autouse=True)
def instance_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECAP_INSTANCE", str(tmp_path))
    return tmp_path


def of_sqlite(text: str, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> Exception:
    return OperationalError("INSERT", {}, kind(text))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "x", "/data/a"), "no space is left on the disk (at /data/a): free"),
        (OSError(errno.EIO, "x"), "the disk answered with an error: look at the disk"),
        (OSError(errno.EMFILE, "x"), "too many files are open: raise the limit"),
        (OSError("Too many open files (os error 24): a.parquet"), "too many files are open: raise"),
        (DagsterInvalidInvocationError("the table, which currently does not exist"), "recreated"),
        (OSError(errno.EROFS, "x", "/data/a"), "/data/a cannot be written: it is read-only"),
        (of_sqlite("database or disk is full"), "no space is left for Dagster's records in /"),
        (of_sqlite("disk I/O error"), "full or failing: free some space"),
        (of_sqlite("unable to open database file"), "too many files are open"),
        (of_sqlite("no such table: event_logs"), "recreated from the table lineage"),
        (of_sqlite("database is locked"), "locked by another process"),
        (StorageError("table x is cut"), "table x is cut"),
    ],
)
def test_a_fault_is_one_sentence(error: Exception, words: str) -> None:
    wrapped = RuntimeError("a wrapper's words")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        told = in_words(one)
        assert told is not None
        assert words in told
        assert "\n" not in told


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("OperationalError", 'connection to server at "db" failed: refused\n\tIs it running?'),
        ("InterfaceError", "connection already closed"),
        ("DatabaseError", "server closed the connection unexpectedly\n\tIt terminated."),
    ],
)
def test_a_lost_postgres_is_one_sentence(kind: str, text: str) -> None:
    psycopg2 = pytest.importorskip("psycopg2", reason="the extra postgres brings it")
    told = in_words(OperationalError("INSERT", {}, getattr(psycopg2, kind)(text)))
    assert told is not None
    assert f"is out of reach ({text.partition(chr(10))[0]}): see that it runs" in told
    assert "\n" not in told
    assert in_words(OperationalError("x", {}, psycopg2.DatabaseError("a bug"))) is None


def test_a_retry_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    shorten_retries()
    logging.getLogger().warning(
        "Retrying failed database connection: %s", "refused 5%\n\tIs it up?"
    )
    logging.getLogger().warning("other words\nof two lines")
    assert caplog.messages == [
        "Retrying failed database connection: refused 5%", "other words\nof two lines",
    ]  # fmt: skip


def test_a_bug_stays_a_bug() -> None:
    assert in_words(KeyError("x")) is None
    assert in_words(DagsterInvalidInvocationError("no such job")) is None
    assert in_words(OSError(errno.ENOENT, "x")) is None
    assert in_words(of_sqlite("near SELECT: syntax error")) is None


def test_damage_that_is_met_is_looked_for_by_the_next_one(instance_folder: Path) -> None:
    error = of_sqlite("database disk image is malformed", sqlite3.DatabaseError)
    assert "run again, and they are put aside" in str(in_words(error))
    assert (instance_folder / SUSPECT).exists()
    assert list(put_aside_damaged(instance_folder)) == []
    assert not (instance_folder / SUSPECT).exists()


@pytest.mark.parametrize("n_kept", [0, 5])
def test_a_file_that_a_kill_left_half_made_is_made_anew(session: Session, n_kept: int) -> None:
    new = session.open_instance()
    new.delete_dynamic_partition("pool", "00000")
    for key in new.get_dynamic_partitions("pool"):
        new.delete_dynamic_partition("pool", key)
    new.dispose()
    log = session.storage / EVENT_LOG
    with closing(sqlite3.connect(log)) as connection:
        for (name,) in connection.execute(TABLES).fetchall()[n_kept:]:
            connection.execute(f'DELETE FROM "{name}"')  # noqa: S608
            connection.execute(f'DROP TABLE "{name}"')
        connection.execute("DELETE FROM secondary_indexes") if n_kept else None
        connection.commit()
    with session.open_instance() as instance:
        assert instance.get_dynamic_partitions("pool")
    (aside,) = session.storage.glob("event_log.db.damaged-*")
    assert aside.stat().st_size


def test_a_file_of_an_older_dagster_with_rows_in_it_stays(session: Session) -> None:
    session.open_instance().dispose()
    with closing(sqlite3.connect(session.storage / EVENT_LOG)) as connection:
        connection.execute("DROP TABLE concurrency_slots")
        connection.commit()
    assert list(put_aside_damaged(session.storage)) == []


def test_a_text_that_is_none_is_damage_where_it_was_met(
    session: Session,
) -> None:
    session.open_instance().dispose()
    with closing(sqlite3.connect(session.storage / EVENT_LOG)) as connection:
        values = "INSERT INTO dynamic_partitions (partitions_def_name, partition) VALUES "
        connection.execute(values + "('x', CAST(x'ff' AS TEXT))")
        connection.commit()
    assert list(put_aside_damaged(session.storage)) == []
    error = of_sqlite(f"{NO_TEXT} column 'x' with text 'y'")
    assert "run again, and they are put aside" in str(in_words(error))
    (told,) = put_aside_damaged(session.storage)
    assert "a text of its table dynamic_partitions is no UTF-8" in told


def test_dagsters_lines_about_its_log_are_not_shown() -> None:
    stream = io.StringIO()
    print(
        "Exception while writing logger call to event log: full", file=WithoutLoggerErrors(stream)
    )
    print("something else", file=WithoutLoggerErrors(stream))
    assert stream.getvalue().strip() == "something else"


def test_a_step_says_what_the_store_did(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("object-store error: Generic S3 error: HTTP error: body error\nCaused by: x")

    monkeypatch.setattr("recap_assets.defs.assets._build", fail)
    with session.open_instance() as instance:
        job = definitions_of(session).resolve_implicit_global_asset_job_def()
        key = dg.AssetKey(["embedded_world", "evaluation", "coarse"])
        done = job.execute_in_process(
            instance=instance, asset_selection=[key], raise_on_error=False
        )
        (failed,) = done.get_step_failure_events()
    told = failed.step_failure_data.user_failure_data
    assert told is not None
    assert str(told.description).startswith("the connection to the object store (S3) broke off: ")
