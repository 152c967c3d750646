"""The one place where the rows of a partition are divided into those that are had and asked for.

Whoever computes a partition says which rows it wants, each with the hash of what it is computed
from, and how to compute some of them. What is stored of an equal row is taken over, whoever wrote
it: an earlier version of the slice, another partition, another experiment in the data folder.
"""

import hashlib
from collections.abc import Callable
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
    found, left = step.reuse.divided(table, wanted, step.machine)
    if left.is_empty():
        return found
    if left.height < wanted.height:
        step = replace(step, fingerprint=_of_these(step.fingerprint, left))
    rows = compute(step, left)
    unit = unit_of(table, wanted)
    hashed = rows.join(left.select(*unit, HASH), on=unit, how="inner", maintain_order="left")
    return pl.concat([found, hashed.select(found.columns)])


def _of_these(fingerprint: str, rows: pl.DataFrame) -> str:
    """Names what is kept of a partition on the way: what was asked for may differ the next time."""
    if not fingerprint:
        return fingerprint
    digest = hashlib.sha256()
    for column in (column for column in ("uid", "candidate", HASH) if column in rows.columns):
        for value in rows[column]:
            digest.update(str(value).encode() + b"\n")
    return f"{fingerprint}-{digest.hexdigest()[:16]}"
