"""What each caption source adds to a mix, as rows to show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

LEFT_OUT = pl.Schema(
    {
        "mix": pl.String,
        "source": pl.String,
        "task": pl.String,
        "whole": pl.Float64,
        "change": pl.Float64,
        "deviation": pl.Float64,
        "n_seeds": pl.Int64,
    }
)
"""A mix without one source on one task, fractions of one: the whole mix's mean over its seeds, and
what changes without the source, seed by seed: its mean and deviation (null for one seed)."""


@dataclass(frozen=True)
class Change:
    """One cell: in fractions of one; `holds` where the mean exceeds the deviation."""

    mean: float
    deviation: float | None
    holds: bool


@dataclass(frozen=True)
class SourceRow:
    """What changes on each task without one source; None where nothing was measured."""

    source: str
    cells: tuple[Change | None, ...]


@dataclass(frozen=True)
class MixRows:
    """A whole mix's means on each task, and a row for each of its sources."""

    mix: str
    cells: tuple[float | None, ...]
    sources: tuple[SourceRow, ...]


def mix_rows(rows: pl.DataFrame, tasks: Sequence[str]) -> Iterator[MixRows]:
    """The rows of each mix, in the order in which they come.

    Args:
        rows: LEFT_OUT.
        tasks: The columns.
    """
    for (mix,), of_mix in rows.group_by("mix", maintain_order=True):
        whole = dict(of_mix.select("task", "whole").iter_rows())
        by_source = [
            SourceRow(str(source), tuple(_change(part, task) for task in tasks))
            for (source,), part in of_mix.group_by("source", maintain_order=True)
        ]
        yield MixRows(str(mix), tuple(whole.get(task) for task in tasks), tuple(by_source))


def _change(rows: pl.DataFrame, task: str) -> Change | None:
    found: Sequence[Mapping[str, float | None]] = rows.filter(pl.col("task") == task).to_dicts()
    if not found or (mean := found[0]["change"]) is None:
        return None
    deviation = found[0]["deviation"]
    return Change(mean, deviation, deviation is not None and abs(mean) > deviation)
