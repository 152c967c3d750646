"""Receipts: the rows of the table `lineage`, one for every materialization, parsed."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, Self

import polars as pl

from recap_assets.artefacts.lineage import LINEAGE

SHARED = ("code_version", "implementation", "decides", "provenance", "device", "reads")
"""Columns in which the partitions of one state agree."""

JSON_COLUMNS = (
    "inputs",
    "input_events",
    "reads",
    "table_versions",
    "provenance",
    "rejected",
    "facts",
    "facets",
    "facets_read",
)
"""Columns that hold JSON, `decides` aside, which is kept as text."""

KEY = ["partition", "instance", "event_id"]
"""Columns that distinguish one receipt of an asset from the others."""

Reach = Literal["same", "all"]


class LineageError(LookupError):
    """There is no receipt of what was asked for; the text says what to do."""


@dataclass(frozen=True)
class Receipt:
    """One materialization: a row of the table `lineage`, parsed.

    Attributes are the table's columns; `decides` is the JSON text, other JSON columns are mappings.
    """

    asset: str
    partition: str
    instance: str
    event_id: int
    built_at: datetime
    run_id: str
    reused: bool
    data_version: str
    fingerprint: str
    code_version: str
    implementation: int
    decides: str
    inputs: Mapping[str, str]
    input_events: Mapping[str, int]
    reads: Mapping[str, Reach]
    table_versions: Mapping[str, int]
    n_rows: int
    n_bytes: int
    seconds: float
    device: str
    experiment: str
    provenance: Mapping[str, str]
    rejected: Mapping[str, int]
    facts: Mapping[str, str | int | float]
    facets: Mapping[str, str]
    facets_read: Mapping[str, str]

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Self:
        """A receipt from a row of the table."""
        values = {field.name: row[field.name] for field in fields(cls)}
        return cls(**values | {name: json.loads(row[name]) for name in JSON_COLUMNS})


class Receipts:
    """Receipts by asset, each asset's loaded once.

    Args:
        load: All rows of an asset: the columns of LINEAGE, in any order.
    """

    def __init__(self, load: Callable[[str], pl.DataFrame]) -> None:
        self._load = load
        self._frames: dict[str, pl.DataFrame] = {}
        self._base: Receipts | None = None

    @classmethod
    def from_frame(cls, rows: pl.DataFrame) -> Self:
        """Receipts of the rows given."""
        parts = {key[0]: part for key, part in rows.partition_by("asset", as_dict=True).items()}
        return cls(lambda asset: parts.get(asset, LINEAGE.empty()))

    @classmethod
    def from_table(cls, scan: Callable[[], pl.LazyFrame], asset: str) -> Self:
        """Receipts of an asset and of all that it ever read; no other rows are loaded.

        Args:
            scan: Begins a scan of the table `lineage`.
            asset: The asset that will be asked about.
        """
        edges = scan().select("asset", "reads").unique().collect()
        wanted = _ancestors(edges.iter_rows(), asset)
        return cls.from_frame(scan().filter(pl.col("asset").is_in(sorted(wanted))).collect())

    def of(self, asset: str) -> pl.DataFrame:
        """The asset's receipts by partition and event, each with the event that computed it.

        A result that was reused was computed by an earlier event: commit, libraries, time and
        inputs are that event's, while `event_id` stays that of the receipt.
        """
        if asset not in self._frames:
            base = self._base
            self._frames[asset] = base.of(asset) if base else _with_writers(self._load(asset))
        return self._frames[asset]

    def joined(self, row: pl.DataFrame) -> "Receipts":
        """These and one more, such as that of an event that is about to be written."""
        asset = row["asset"].item()
        others = Receipts(self._load)
        others._base = self
        others._frames[asset] = _with_writers(pl.concat([self._load(asset), row]))
        return others


def _ancestors(edges: Iterator[tuple[str, str]], asset: str) -> set[str]:
    reads: dict[str, set[str]] = {}
    for reader, text in edges:
        reads.setdefault(reader, set()).update(json.loads(text))
    found: set[str] = set()
    pending = [asset]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(reads.get(name, ()))
    return found


def _with_writers(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with a column `written_by`, and what that event says in place of their own."""
    written = pl.when(~pl.col("reused")).then(pl.col("event_id"))
    same = ("instance", "partition", "data_version", "code_version")
    ordered = _in_order(rows).with_columns(
        written_by=written.forward_fill().over(same).fill_null(pl.col("event_id"))
    )
    if not ordered["reused"].any():
        return ordered
    own = ordered.select(*KEY, "written_by", "reused", "order", now="table_versions")
    described = ordered.filter(pl.col("event_id") == pl.col("written_by"))
    readable = pl.when(pl.col("now") == "{}").then("table_versions").otherwise("now")
    return (
        own.join(
            described.drop("event_id", "reused", "order"),
            on=["partition", "instance", "written_by"],
        )
        .with_columns(table_versions=readable)
        .select(ordered.columns)
        .sort("partition", "order")
    )


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows by partition and `order`: events are counted within one storage of Dagster's.

    An append whose acknowledgement was lost may have been repeated; each event is taken once.
    """
    distinct = rows.unique(KEY)
    began = pl.col("built_at").min().over("instance")
    ordered = distinct.sort(began, "instance", "event_id").with_row_index("order")
    return ordered.select(*rows.columns, "order").sort("partition", "order")


def canonical(value: object) -> str:
    """JSON text with sorted keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
