"""Pairs that a mix has several times."""

import numpy as np
import polars as pl

COPY = "copy"
"""Number of a copy among those of its pair, from 0."""


def repeated(rows: pl.DataFrame) -> pl.DataFrame:
    """Each row as often as its `copies` says, copies beside each other, with COPY."""
    copies = rows["copies"].to_numpy()
    at = np.repeat(np.arange(rows.height), copies)
    first = np.repeat(np.cumsum(copies) - copies, copies)
    number = pl.Series(COPY, np.arange(len(at)) - first, pl.Int32)
    return rows[at].with_columns(number)
