"""Partitions in groups: enough rows at a time to be quick, and few enough for the memory."""

from collections.abc import Iterator, Sequence

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.graph.project import Project

ROWS_AT_ONCE = 100_000
"""Samples of one group, unless a partition has more."""


def partition_groups(project: Project) -> Iterator[Sequence[str]]:
    """The pool's partitions, some at a time, in order."""
    keys = list(project.partitions)
    at_once = max(1, len(keys) * ROWS_AT_ONCE // max(1, n_samples(project)))
    yield from (keys[at : at + at_once] for at in range(0, len(keys), at_once))


def n_samples(project: Project) -> int:
    """Samples of the pool, those that were set aside included."""
    rows = project.workspace.tables.scan(RAW_POOL)
    return int(rows.select(pl.len()).collect().item())
