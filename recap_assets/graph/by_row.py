"""The one place where the rows of a partition are divided into those that are had and asked for.

Whoever computes a partition says which rows it wants, each with the hash of what it is computed
from, and how to compute some of them. What is stored of an equal row is taken over, whoever wrote
it: an earlier version of the slice, another partition, another experiment in the data folder.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import polars as pl

from recap_assets.artefacts.table import HASH, Table
from recap_assets.graph.node import Step
from recap_assets.graph.reuse import unit_of

Compute = Callable[[Step, pl.DataFrame], pl.DataFrame]
"""Computes the rows of some of what is wanted, in the step that it is given."""


def by_row(
    step: Step,
    table: Table,
    wanted: pl.DataFrame,
    compute: Compute,
) -> pl.DataFrame:
    """The rows of a table for what is wanted: taken over where they are stored, else computed.

    Args:
        step: The partition.
        table: What rows are wanted of.
        wanted: As `Reuse.divided` takes it; two rows with one unit there are none.
        compute: Computes the rows of some of `wanted`, in the step that it is given, and is not
            called for none. A unit that it gives no row is left out.

    Returns:
        Rows with the columns of `table` but those that name the slice.
    """
    if step.only is not None and "shard" in wanted.columns:
        wanted = wanted.filter(pl.col("shard") == step.only)
    found, left = step.reuse.divided(table, wanted, step.machine)
    if left.is_empty():
        return found
    rows = compute(replace(step, asked=_digests(left)), left)
    unit = unit_of(table, wanted)
    hashed = rows.join(left.select(*unit, HASH), on=unit, how="inner", maintain_order="left")
    return pl.concat([found, hashed.select(found.columns)])


def _digests(asked: pl.DataFrame) -> Mapping[int, str]:
    """By shard what is asked for of it, which may be other rows the next time."""
    if "shard" not in asked.columns:
        return {}
    columns = [column for column in ("uid", "candidate") if column in asked.columns]
    by_shard = asked.partition_by("shard", as_dict=True, include_key=False)
    return {int(shard): _digest(rows.select(columns)) for (shard,), rows in by_shard.items()}


def _digest(rows: pl.DataFrame) -> str:
    digest = hashlib.sha256()
    for values in rows.iter_columns():
        digest.update("\n".join(map(str, values)).encode() + b"\n\n")
    return digest.hexdigest()[:16]
