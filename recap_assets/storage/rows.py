"""Rows as a table wants them, before they are written."""

from collections.abc import Mapping

import polars as pl

from recap_assets.artefacts.table import Table
from recap_assets.storage.errors import StorageError
from recap_assets.storage.sorting import sort_rows

Slice = Mapping[str, str | int]
"""A value for each of a table's slice columns."""


def conform(table: Table, at: Slice, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the table's slice columns, column order, types and row order.

    Raises:
        StorageError: A column is missing or of another type, or null where it must not be.
    """
    if set(at) != set(table.slices):
        msg = f"table {table.name}: a slice is named by {table.slices}, not by {tuple(at)}"
        raise StorageError(msg)
    with_slice = frame.with_columns(
        pl.lit(value, table.columns[name].dtype).alias(name) for name, value in at.items()
    )
    return typed(table, with_slice)


def typed(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the table's column order and row order, all of its columns given.

    A column that came later and is not given holds its default, an optional one null.

    Raises:
        StorageError: A column is missing or of another type, or null where it must not be.
    """
    defaults = {**dict.fromkeys(table.optional), **table.defaults}
    frame = frame.with_columns(
        pl.lit(default, table.columns[name].dtype).alias(name)
        for name, default in defaults.items()
        if name not in frame.columns
    )
    if wrong := {
        name: (frame.schema.get(name), dtype)
        for name, dtype in table.schema.items()
        if frame.schema.get(name) != dtype
    }:
        listed = "; ".join(f"{n}: has {has}, needs {needs}" for n, (has, needs) in wrong.items())
        raise StorageError(f"table {table.name}: {listed}")
    rows = frame.select(list(table.columns))
    for name, column in table.columns.items():
        if not column.nullable and rows[name].null_count():
            msg = f"table {table.name}: {rows[name].null_count()} null values in column {name}"
            raise StorageError(msg)
    keys = list(table.order)
    if any(rows[name].null_count() for name in keys):
        return rows.sort(keys)
    return sort_rows(rows, keys)
