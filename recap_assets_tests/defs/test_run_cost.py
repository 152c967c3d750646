"""What recording a partition costs: few questions to Dagster's storage, as many for any pool."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import dagster as dg
import sqlalchemy

from recap_assets.defs.assets import asset_key, assets_of
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.session import Session
from recap_assets.graph.node import Graph, Outcome

MOST_STATEMENTS = 16
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


def statements_of_a_partition(session: Session, n: int) -> float:
    """Statements of one more partition: those of a run of n of them, over those of a run of one."""
    nodes = [
        replace(
            session.graph.nodes[key], compute=lambda step: Outcome(step.partition, 0), checks=()
        )
        for key in ASSETS
    ]
    keys = list(session.project.partitions)
    graph = Graph(nodes, lambda _: keys)
    job = dg.Definitions(assets=assets_of(graph, session.project, in_pools=False))
    run = job.resolve_implicit_global_asset_job_def().execute_in_process
    instance = session.open_instance()
    counts = {}
    for asset, size in [(ASSETS[0], n), (ASSETS[1], 1), (ASSETS[1], n)]:
        with counted() as statements:
            tags = {**range_tags(keys[:size]), "recap/force": "true"}
            done = run(instance=instance, asset_selection=[asset_key(asset)], tags=tags)
        assert done.success
        counts[size] = len(statements)
    return (counts[n] - counts[1]) / (n - 1)


def test_a_partition_costs_few_statements(opened: Callable[..., Session]) -> None:
    pool = {"kind": "embedded", "samples": 24, "samples_per_shard": 1}
    session = opened(pool=pool)
    session.create_tables()
    assert statements_of_a_partition(session, 24) <= MOST_STATEMENTS
