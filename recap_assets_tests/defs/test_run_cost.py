"""What recording a partition costs: few questions to Dagster's storage, as many for any pool."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.storage.event_log.sqlite import consolidated_sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage

from recap_assets.defs.assets import asset_key, assets_of
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.session import Session
from recap_assets.graph.node import Graph, Outcome

MOST_STATEMENTS = 14
MOST_STATEMENTS_OF_A_RUN = 54
ASSETS = ("embedded_world/pool", "raw_pool")


@contextmanager
def counted() -> Iterator[list[str]]:
    """The SQL statements of this process while the block lasts."""
    statements: list[str] = []

    def note(*told: object) -> None:
        statements.append(str(told[2]))

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)


Run = Callable[[str, int], None]
"""Builds an asset's first partitions in one run."""


def runner(session: Session) -> Run:
    """Runs of assets that compute nothing."""
    nodes = [
        replace(
            session.graph.nodes[key], compute=lambda step: Outcome(step.partition, 0), checks=()
        )
        for key in ASSETS
    ]
    keys = list(session.project.partitions)
    graph = Graph(nodes, lambda _: keys)
    job = dg.Definitions(assets=assets_of(graph, session.project, in_pools=False))
    execute = job.resolve_implicit_global_asset_job_def().execute_in_process
    instance = session.open_instance()

    def run(asset: str, size: int) -> None:
        tags = {**range_tags(keys[:size]), "recap/force": "true"}
        assert execute(instance=instance, asset_selection=[asset_key(asset)], tags=tags).success

    return run


def statements_of_a_partition(run: Run, n: int) -> float:
    """Statements of one more partition: those of a run of n of them, over those of a run of one."""
    counts = {}
    for asset, size in [(ASSETS[0], n), (ASSETS[1], 1), (ASSETS[1], n)]:
        with counted() as statements:
            run(asset, size)
        counts[size] = len(statements)
    return (counts[n] - counts[1]) / (n - 1)


def test_a_partition_costs_few_statements(opened: Callable[..., Session]) -> None:
    pool = {"kind": "embedded", "samples": 24, "samples_per_shard": 1}
    session = opened(pool=pool)
    session.create_tables()
    assert statements_of_a_partition(runner(session), 24) <= MOST_STATEMENTS


def test_a_run_costs_few_statements(session: Session) -> None:
    session.create_tables()
    run = runner(session)
    run(ASSETS[0], 1)
    run(ASSETS[1], 1)
    with counted() as statements:
        run(ASSETS[1], 1)
    assert len(statements) <= MOST_STATEMENTS_OF_A_RUN


def test_no_statement_makes_an_engine(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner(session)
    run(ASSETS[0], 1)  # with what Dagster asks once in a process
    for module in (consolidated_sqlite_event_log, sqlite_run_storage):
        monkeypatch.delattr(module, "create_engine")
    run(ASSETS[0], 1)


def test_every_connection_is_closed_again(session: Session) -> None:
    """So that a file of the storage may be put aside and replaced."""
    run, opened = runner(session), 0

    def count(change: int) -> Callable[..., None]:
        def note(*_: object) -> None:
            nonlocal opened
            opened += change

        return note

    sqlalchemy.event.listen(sqlalchemy.Pool, "connect", came := count(1))
    sqlalchemy.event.listen(sqlalchemy.Pool, "close", went := count(-1))
    try:
        run(ASSETS[0], 1)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Pool, "connect", came)
        sqlalchemy.event.remove(sqlalchemy.Pool, "close", went)
    assert opened == 0
