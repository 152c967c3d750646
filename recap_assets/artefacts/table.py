"""What an artefact is: a table with columns, or files; and what several tables have in common.

Code refers to columns by the names in these tables; docs/tables.md is generated from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

STATUS_OK = "ok"
STATUS_REJECTED = "rejected"
STATUS_TRUNCATED = "truncated"
STATUS_EMPTY = "empty"
STATUS_REFUSED = "refused"
STATUS_DEGENERATE = "degenerate"
STATUS_ERROR = "error"

USABLE = (STATUS_OK, STATUS_TRUNCATED)
"""What is used further; the paper cuts captions at 40 tokens and keeps them."""

UID_BYTES = 16
SHA256_BYTES = 32


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        dtype: Its polars type.
        meaning: What it holds, with its unit.
        nullable: Whether it may be null.
        is_content: False for what was measured on the way (seconds): it differs from computation to
            computation of the same content, so the data version leaves it out.
        default: Of a column that a table got later, what its rows from before count as. A slice
            of nothing else has the version that it had without the column.
        is_optional: Whether rows may be given without the column, which is null then: what the
            platform keeps of them for itself, and no stage computes.
    """

    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    nullable: bool = False
    is_content: bool = True
    default: int | str | None = None
    is_optional: bool = False


@dataclass(frozen=True)
class Artefact:
    """What assets hold, of one sort.

    Attributes:
        name: The first part of its assets' keys.
    """

    name: str

    def key(self, *parts: str) -> str:
        """Key of one of its assets: `curated_mixes/best`; the name alone where it has but one."""
        return "/".join((self.name, *parts))

    def named(self, text: str) -> str:
        """What `key` was given, of a key or of the name alone: people write both."""
        return text.removeprefix(f"{self.name}/")


@dataclass(frozen=True)
class Files(Artefact):
    """Files that are no table: models, exports, pages."""


@dataclass(frozen=True)
class Table(Artefact):
    """One Delta table; its name is also that of its folder below the tables' root.

    Attributes:
        meaning: What a row is.
        columns: By name.
        slices: Columns that name a slice, the unit that is replaced; Delta partitions by them.
        order: Columns that sort the rows of a slice; together they are unique in it.
        constraints: Delta CHECK constraints, name to SQL.
        append_only: Rows are only ever added; nothing is replaced.
    """

    meaning: str
    columns: dict[str, Column]
    slices: tuple[str, ...]
    order: tuple[str, ...]
    constraints: tuple[tuple[str, str], ...] = ()
    append_only: bool = False

    @property
    def schema(self) -> pl.Schema:
        """Names and polars types, slice columns included."""
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    @property
    def required(self) -> pl.Schema:
        """`schema` without optional columns: what every row has."""
        return pl.Schema({n: c.dtype for n, c in self.columns.items() if not c.is_optional})

    @property
    def unsliced(self) -> pl.Schema:
        """What a stage computes: `required` without the slice's name."""
        return pl.Schema({n: d for n, d in self.required.items() if n not in self.slices})

    @property
    def content(self) -> tuple[str, ...]:
        """Names of the columns that decide the data version."""
        return tuple(name for name, column in self.columns.items() if column.is_content)

    @property
    def defaults(self) -> dict[str, int | str]:
        """What columns that came later count as in rows from before."""
        found = {name: column.default for name, column in self.columns.items()}
        return {name: default for name, default in found.items() if default is not None}

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the columns that rows may lack."""
        return tuple(name for name, column in self.columns.items() if column.is_optional)

    def slice_at(self, partition: str, names: Mapping[str, str]) -> dict[str, str | int]:
        """The values that name a partition's slice, in the order of `slices`.

        Args:
            partition: The partition's key.
            names: Values of the columns that are the same for all partitions.
        """
        values = {column: names.get(column, partition) for column in self.slices}
        whole = self.schema
        return {n: int(v) if whole[n].is_integer() else v for n, v in values.items()}

    def empty(self) -> pl.DataFrame:
        """A frame with the table's schema and no rows."""
        return pl.DataFrame(schema=self.schema)


class Tables(Protocol):
    """Where tables are read from."""

    def scan(self, table: Table, version: int | None = None, **at: str | int) -> pl.LazyFrame:
        """The table's rows in the slices where the given columns have the given values."""
        ...


def is_usable() -> pl.Expr:
    """Whether a row of the pool or of the captions is used further, by its column `status`."""
    return pl.col("status").is_in(USABLE)


def count_rejects(rows: pl.DataFrame) -> dict[str, int]:
    """Rows set aside, by reason."""
    rejected = rows.filter(~is_usable())
    counts = rejected.group_by("reject_reason").len().sort("reject_reason")
    return dict(counts.iter_rows())


PARTITION = Column(pl.String, "Pool partition: a fixed group of consecutive shards.")
SHARD = Column(pl.Int32, "Number of the shard in the pool's manifest.")
UID = Column(pl.Binary, "Sample id: 16 bytes, DataComp's 32 hex digits.")
SOURCE = Column(pl.String, "Caption source; `raw` is the pool's own text.")
SCORER = Column(pl.String, "Scorer.")
CANDIDATE = Column(pl.Int16, "Number of the caption among the candidates of one image, from 0.")
MIX = Column(pl.String, "Mix.")
SET = Column(pl.String, "Named set of uids.")
SEED = Column(pl.Int64, "Training seed.")
STATUS = Column(pl.String, "`ok` or `rejected`.")
HASH = "input_hash"
"""The name of the column `INPUT_HASH` in the tables that have it."""

INPUT_HASH = Column(
    pl.Binary,
    "16 bytes: hash of what the row was computed from beside settings and model, such as the "
    "image's bytes and the texts; null where it is not kept. `graph.by_row` finds rows by it.",
    nullable=True,
    is_content=False,
    is_optional=True,
)
REASON = Column(pl.String, "Why the row was set aside; null where it was not.", nullable=True)
