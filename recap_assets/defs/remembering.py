"""What Dagster's SQL storages work out again for every statement, worked out once.

For each statement its SQLite storages make an engine of SQLAlchemy, and with it go the compiled
statements: two fifths of the time of a question. On PostgreSQL the questions for the columns of
Dagster's own table take half of the time of a look at an asset. What is remembered here cannot
become wrong: where a database is, how a statement is spelled, and tables and columns, of which none
is ever taken away. Each connection is opened and closed as before, so that a file may be put aside
or replaced.
"""

from collections.abc import Callable

import dagster as dg
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

# Private names of Dagster's are used here; tests hold them.


def remember(instance: dg.DagsterInstance) -> None:
    """Let the storages of an instance remember; twice is no more than once."""
    events, runs = instance.event_log_storage, instance.run_storage
    if isinstance(events, SqlEventLogStorage) and _is_new(events):
        _remember_columns(events)
        _remember_tables(events)
        if isinstance(events, ConsolidatedSqliteEventLogStorage):
            timeout = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            events._connect = _engine(events, timeout).begin  # noqa: SLF001
    if isinstance(runs, SqlRunStorage) and _is_new(runs):
        _remember_run_columns(runs)
        if isinstance(runs, SqliteRunStorage):
            runs.connect = _engine(runs, {}).begin


def skip_input_versions() -> None:
    """Keep Dagster from reading the data versions of what a step reads, for this process.

    They go into the tags of its automatic events, and ours have tags of their own.
    """
    StepExecutionContext.fetch_external_input_asset_version_info = _skip  # type: ignore[method-assign]


def _skip(_context: StepExecutionContext) -> None:
    return None


def _is_new(storage: SqlEventLogStorage | SqlRunStorage) -> bool:
    is_new = not hasattr(storage, "recap_remembers")
    storage.recap_remembers = True  # type: ignore[union-attr]
    return is_new


def _engine(
    storage: ConsolidatedSqliteEventLogStorage | SqliteRunStorage, arguments: dict[str, int]
) -> Engine:
    """The engine that Dagster makes: without a pool, so that no connection stays open."""
    return create_engine(storage._conn_string, poolclass=NullPool, connect_args=arguments)  # noqa: SLF001


def _remember_columns(storage: SqlEventLogStorage) -> None:
    """Keep Dagster from asking for the columns of its own table at every read and every event."""
    known: set[str] = set()
    on_connection = storage._has_asset_key_col_on_connection  # noqa: SLF001
    anywhere = storage.has_asset_key_col

    def has_on_connection(conn: Connection, column_name: str) -> bool:
        # A migration adds columns and takes none away.
        if column_name not in known and on_connection(conn, column_name):
            known.add(column_name)
        return column_name in known

    storage._has_asset_key_col_on_connection = has_on_connection  # noqa: SLF001
    storage.has_asset_key_col = lambda column_name: column_name in known or anywhere(column_name)


def _remember_run_columns(storage: SqlRunStorage) -> None:
    """Keep Dagster from reading the columns of its table of runs at every event of a run."""
    storage.has_run_stats_index_cols = _until_true(storage.has_run_stats_index_cols)
    storage.has_backfill_id_column = _until_true(storage.has_backfill_id_column)


def _until_true(ask: Callable[[], bool]) -> Callable[[], bool]:
    """Asks no more once the answer was yes."""
    yes = False

    def answer() -> bool:
        nonlocal yes
        yes = yes or ask()
        return yes

    return answer


def _remember_tables(storage: SqlEventLogStorage) -> None:
    """Keep Dagster from asking for its own tables at every partition."""
    known: set[str] = set()
    anywhere = storage.has_table

    def has_table(table_name: str) -> bool:
        if table_name not in known and anywhere(table_name):
            known.add(table_name)
        return table_name in known

    storage.has_table = has_table
