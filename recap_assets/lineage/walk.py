"""Where does this come from: from an asset's partitions back to the pool's shards.

Every materialization left a receipt, a row of the table `lineage`. A receipt names, for everything
that was read, the newest event that was seen; the upstream receipts are the newest ones up to that
event. So what was rebuilt later changes nothing of an older version's origin.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, Self

import polars as pl

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.graph.versions import folded_version

VERSION_DIGITS = 16
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
)
"""Columns that hold JSON, `decides` aside, which is kept as text."""

_KEY = ["partition", "instance", "event_id"]
_NEVER = 2**62

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
        """The asset's receipts by partition and event, each told by the event that computed it.

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
    """The rows with a column `written_by`, and what that event tells in place of their own."""
    written = pl.when(~pl.col("reused")).then(pl.col("event_id"))
    same = ("instance", "partition", "data_version", "code_version")
    ordered = _in_order(rows).with_columns(
        written_by=written.forward_fill().over(same).fill_null(pl.col("event_id"))
    )
    if not ordered["reused"].any():
        return ordered
    own = ordered.select(*_KEY, "written_by", "reused", "order", now="table_versions")
    told = ordered.filter(pl.col("event_id") == pl.col("written_by"))
    readable = pl.when(pl.col("now") == "{}").then("table_versions").otherwise("now")
    return (
        own.join(
            told.drop("event_id", "reused", "order"), on=["partition", "instance", "written_by"]
        )
        .with_columns(table_versions=readable)
        .select(ordered.columns)
        .sort("partition", "order")
    )


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows by partition and `order`: events are counted within one storage of Dagster's.

    An append whose acknowledgement was lost may have been repeated; each event is taken once.
    """
    distinct = rows.unique(_KEY)
    began = pl.col("built_at").min().over("instance")
    ordered = distinct.sort(began, "instance", "event_id").with_row_index("order")
    return ordered.select(*rows.columns, "order").sort("partition", "order")


@dataclass(frozen=True)
class State:
    """Partitions of one asset that were built alike: same specs, code, libraries and device.

    Attributes:
        newest: The receipt of the last of them; what they share is in it.
        rows: All their receipts.
    """

    newest: Receipt
    rows: pl.DataFrame

    @property
    def partitions(self) -> tuple[str, ...]:
        """Their keys; one empty key for an asset without partitions."""
        return tuple(self.rows["partition"].unique().sort())

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """Dagster runs that computed them, the first one first."""
        return tuple(self.rows.sort("order")["run_id"].unique(maintain_order=True))

    @cached_property
    def table_versions(self) -> Mapping[str, tuple[int, ...]]:
        """Delta versions at which their slices can be read, by table, ascending."""
        found: dict[str, set[int]] = {}
        for text in self.rows["table_versions"].unique():
            for table, version in json.loads(text).items():
                found.setdefault(table, set()).add(version)
        return {table: tuple(sorted(found[table])) for table in sorted(found)}

    @cached_property
    def inputs(self) -> Mapping[str, tuple[str, ...]]:
        """Distinct versions of each input, as they were read."""
        found: dict[str, dict[str, None]] = {}
        for text in self.rows["inputs"].unique(maintain_order=True):
            for name, version in json.loads(text).items():
                found.setdefault(name, {})[version] = None
        return {name: tuple(versions) for name, versions in sorted(found.items())}

    @cached_property
    def facts(self) -> Mapping[str, str]:
        """What the materializations told: sums of counts, ranges of figures, distinct words."""
        values: dict[str, list[str | int | float]] = {}
        for text in self.rows["facts"]:
            for name, value in json.loads(text).items():
                values.setdefault(name, []).append(value)
        return {name: _summary(found) for name, found in values.items()}


def _summary(values: Sequence[str | int | float]) -> str:
    if all(isinstance(value, int) for value in values):
        return f"{sum(int(value) for value in values):,}"
    if all(isinstance(value, int | float) for value in values):
        low, high = min(map(float, values)), max(map(float, values))
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"
    distinct = list(dict.fromkeys(str(value) for value in values))
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return ", ".join(distinct[:3]) + more


@dataclass(frozen=True)
class Ancestor:
    """One asset of an origin, with the receipts of it that were read.

    Attributes:
        asset: Its key.
        rows: The receipts, by partition and event.
        reads: What these partitions read, and how much of it.
        uncertain: Dependencies of which the receipts found are not for sure those that were read:
            partitions had left the pool, or receipts are missing.
    """

    asset: str
    rows: pl.DataFrame
    reads: Mapping[str, Reach]
    uncertain: frozenset[str] = frozenset()

    @cached_property
    def version(self) -> str:
        """One version for all its partitions; see `combined_version`."""
        return combined_version(self.rows)

    @cached_property
    def states(self) -> tuple[State, ...]:
        """The distinct states, the one with most partitions first."""
        groups = self.rows.partition_by(SHARED, maintain_order=True)
        states = [
            State(Receipt.parse(rows.sort("order").row(-1, named=True)), rows) for rows in groups
        ]
        return tuple(sorted(states, key=lambda state: (-state.rows.height, state.newest.event_id)))


@dataclass(frozen=True)
class Origin:
    """An asset and all that it came from.

    Attributes:
        asset: The asset asked for.
        ancestors: It and everything upstream, by key; readers come before what they read.
    """

    asset: str
    ancestors: Mapping[str, Ancestor]

    @property
    def root(self) -> Ancestor:
        """The asset asked for."""
        return self.ancestors[self.asset]

    @property
    def data_versions(self) -> Mapping[str, Mapping[str, str]]:
        """Data version of every asset and partition of the tree; the last one that was read."""
        return {
            name: dict(ancestor.rows.select("partition", "data_version").iter_rows())
            for name, ancestor in self.ancestors.items()
        }

    @property
    def table_versions(self) -> Mapping[str, tuple[int, ...]]:
        """All Delta versions that the tree can be read at, by table."""
        found: dict[str, set[int]] = {}
        for ancestor in self.ancestors.values():
            for text in ancestor.rows["table_versions"].unique():
                for table, version in json.loads(text).items():
                    found.setdefault(table, set()).add(version)
        return {table: tuple(sorted(found[table])) for table in sorted(found)}

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain JSON values; `rows_of` reads it back."""
        return {
            "asset": self.asset,
            "version": self.root.version,
            "ancestors": [_ancestor_json(ancestor) for ancestor in self.ancestors.values()],
        }


def _ancestor_json(ancestor: Ancestor) -> dict[str, Any]:
    return {
        "asset": ancestor.asset,
        "version": ancestor.version,
        "reads": dict(ancestor.reads),
        "uncertain": sorted(ancestor.uncertain),
        "states": [_state_json(state) for state in ancestor.states],
    }


def _state_json(state: State) -> dict[str, Any]:
    own = [name for name in LINEAGE.columns if name not in SHARED and name != "asset"]
    rows = state.rows.select(own).with_columns(pl.col("built_at").dt.to_string("iso:strict"))
    partitions = rows.to_dicts()
    for row in partitions:
        row |= {name: json.loads(row[name]) for name in JSON_COLUMNS if name in row}
    return {
        "code_version": state.newest.code_version,
        "implementation": state.newest.implementation,
        "decides": json.loads(state.newest.decides),
        "provenance": dict(state.newest.provenance),
        "device": state.newest.device,
        "reads": dict(state.newest.reads),
        "partitions": partitions,
    }


def rows_of(content: Mapping[str, Any]) -> pl.DataFrame:
    """Rows of LINEAGE from what `Origin.as_json` gave.

    Raises:
        LineageError: The content is of another form.
    """
    try:
        rows = [
            row
            for ancestor in content["ancestors"]
            for state in ancestor["states"]
            for row in _rows_of_state(ancestor["asset"], state)
        ]
        return pl.DataFrame(rows, schema=LINEAGE.schema, orient="row")
    except (KeyError, TypeError, ValueError, AttributeError, pl.exceptions.PolarsError) as error:
        msg = f"this is no lineage as `recap lineage --json` and `recap pin` write it: {error!r}"
        raise LineageError(msg) from error


def _rows_of_state(asset: str, state: Mapping[str, Any]) -> Iterator[list[Any]]:
    shared = {name: state[name] for name in SHARED} | {"asset": asset}
    for partition in state["partitions"]:
        values = {**shared, **partition, "built_at": datetime.fromisoformat(partition["built_at"])}
        values |= {name: canonical(values[name]) for name in (*JSON_COLUMNS, "decides")}
        yield [values[name] for name in LINEAGE.columns]


def canonical(value: object) -> str:
    """JSON text with sorted keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def combined_version(rows: pl.DataFrame) -> str:
    """A short hash over (partition, data version), to cite: 16 hex digits."""
    digest = hashlib.sha256()
    pairs = rows.select("partition", "data_version").unique().sort("partition", "data_version")
    for partition, version in pairs.iter_rows():
        digest.update(f"{partition}={version}\n".encode())
    return digest.hexdigest()[:VERSION_DIGITS]


def lineage_of(
    receipts: Receipts,
    asset: str,
    partition: str | None = None,
    at: int | datetime | None = None,
    members: Collection[str] | None = None,
    *,
    beyond_whole: bool = True,
) -> Origin:
    """From an asset back to all that it came from.

    Args:
        receipts: What is remembered.
        asset: The asset's key.
        partition: Only this partition of it; by default all.
        at: The state as of this event or time; by default the last.
        members: Partitions that the asset has; those that left since are not shown.
        beyond_whole: Whether to go on to all partitions of what was read whole (scores, by a
            threshold). Without it one partition is traced alone, however large the pool.

    Raises:
        LineageError: There is no receipt of it.
    """
    first = _newest(receipts.of(asset), at)
    if partition is not None:
        first = first.filter(pl.col("partition") == partition)
    elif members is not None:
        first = first.filter(pl.col("partition").is_in(list(members)))
    if first.is_empty():
        raise LineageError(_nothing(receipts, asset, partition, at))
    walk = _Walk(receipts, first["partition"].unique(), beyond_whole=beyond_whole)
    return Origin(asset, walk.upwards(asset, first))


def _newest(rows: pl.DataFrame, at: int | datetime | None) -> pl.DataFrame:
    if isinstance(at, int):
        is_older = pl.col("instance") != pl.col("instance").sort_by("order").last()
        rows = rows.filter(is_older | (pl.col("event_id") <= at))
    elif at is not None:
        rows = rows.filter(pl.col("built_at") <= at)
    return rows.group_by("partition", maintain_order=True).last().select(rows.columns)


def _nothing(
    receipts: Receipts, asset: str, partition: str | None, at: int | datetime | None
) -> str:
    where = asset if partition is None else f"{asset}[{partition}]"
    when = "" if at is None else f" as of {at}"
    rows = receipts.of(asset)
    if rows.is_empty():
        return (
            f"{where} was never built{when}: `recap status` lists the assets, `recap build` builds"
        )
    if partition is not None and partition not in rows["partition"]:
        known = ", ".join(rows["partition"].unique().sort()[:5])
        return f"{where} was never built; {asset} has the partitions {known} ..."
    return f"{where} was not built{when}; its first receipt is of {rows['built_at'].min()}"


class _Walk:
    """Follows pointers upwards; each receipt is expanded once, however many read it."""

    def __init__(self, receipts: Receipts, members: pl.Series, *, beyond_whole: bool) -> None:
        self._receipts = receipts
        self._members = members
        self._beyond_whole = beyond_whole
        self._chosen: dict[str, list[pl.DataFrame]] = {}
        self._reads: dict[str, dict[str, Reach]] = {}
        self._uncertain: dict[str, set[str]] = {}

    def upwards(self, asset: str, first: pl.DataFrame) -> dict[str, Ancestor]:
        """Everything above the given receipts, by asset."""
        pending = {asset: [first]}
        while pending:
            # What an event read is older than it, so the newest asset waits for no other's rows.
            name = max(pending, key=lambda key: max(p["built_at"].max() for p in pending[key]))  # type: ignore[type-var]
            new = self._unseen(name, pl.concat(pending.pop(name)))
            if new.is_empty():
                continue
            for dependency, rows in self._read_by(name, new):
                pending.setdefault(dependency, []).append(rows)
        found = {name: self._ancestor(name) for name in self._chosen}
        return {name: found[name] for name in _readers_first(asset, self._reads) if name in found}

    def _ancestor(self, name: str) -> Ancestor:
        rows = pl.concat(self._chosen[name])
        return Ancestor(
            name,
            rows.sort("partition", "order"),
            self._reads.get(name, {}),
            frozenset(self._uncertain.get(name, ())),
        )

    def _unseen(self, asset: str, rows: pl.DataFrame) -> pl.DataFrame:
        chosen = self._chosen.setdefault(asset, [])
        new = rows.unique(_KEY, maintain_order=True)
        for part in chosen:
            new = new.join(part, on=_KEY, how="anti")
        if not new.is_empty():
            chosen.append(new)
        return new

    def _read_by(self, asset: str, rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        for (text, instance), alike in rows.partition_by(
            ["reads", "instance"], as_dict=True
        ).items():
            reads: dict[str, Reach] = json.loads(str(text))
            self._reads.setdefault(asset, {}).update(reads)
            for dependency, reach in reads.items():
                readers = _readers(alike, dependency)
                receipts = self._receipts.of(dependency)
                whole = reach == "all" or readers["partition"].eq("").all()
                if whole and not self._beyond_whole and _is_partitioned(receipts):
                    continue
                receipts = receipts if whole else _of_partitions(receipts, readers["partition"])
                receipts = receipts.filter(pl.col("instance") == instance)
                find = self._whole if whole else _same_partition
                found, proven = find(receipts, readers)
                if not proven:
                    self._uncertain.setdefault(asset, set()).add(dependency)
                if not found.is_empty():
                    yield dependency, found

    def _whole(self, rows: pl.DataFrame, readers: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
        """What readers of all partitions read, and whether it is proven to be that."""
        if not _is_partitioned(rows) or readers.is_empty():
            return _read_at(rows, readers["pointer"]), not rows.is_empty() or readers.is_empty()
        parts: list[pl.DataFrame] = []
        proven = True
        distinct = readers.unique(["pointer", "recorded"], maintain_order=True)
        for pointer, recorded in distinct.select("pointer", "recorded").iter_rows():
            found = _newest(rows.filter(pl.col("event_id") <= pointer), None)
            members = found.filter(pl.col("partition").is_in(self._members.implode()))
            likely = next((f for f in (found, members) if _is_fold(f, recorded)), None)
            proven = proven and likely is not None
            parts.append(found if likely is None else likely)
        return pl.concat(parts), proven


def _is_partitioned(receipts: pl.DataFrame) -> bool:
    """Whether receipts, sorted by partition, are of several."""
    return bool(receipts.height) and receipts["partition"][0] != receipts["partition"][-1]


def _of_partitions(receipts: pl.DataFrame, partitions: pl.Series) -> pl.DataFrame:
    """The receipts of these partitions; a few are looked up, since receipts are sorted."""
    first, last = str(partitions.min()), str(partitions.max())
    keys = receipts["partition"]
    return receipts[keys.search_sorted(first, "left") : keys.search_sorted(last, "right")]


def _readers(rows: pl.DataFrame, dependency: str) -> pl.DataFrame:
    """For each row the partition, the newest event that it read, and the version recorded."""

    def values(column: str, dtype: pl.DataType) -> pl.Series:
        decoded = rows[column].str.json_decode(pl.Struct({dependency: dtype}))
        return decoded.struct.field(dependency)

    pointers = values("input_events", pl.Int64()).alias("pointer")
    recorded = values("inputs", pl.String()).alias("recorded")
    return rows.select("partition").with_columns(pointers, recorded).drop_nulls("pointer")


def _is_fold(rows: pl.DataFrame, recorded: str | None) -> bool:
    """Whether the rows are those whose versions were folded into the recorded one."""
    by_name = rows.sort("partition")
    # Seeds are folded in the order of the experiment file, most often that of numbers.
    by_number = rows.sort(pl.col("partition").str.len_chars(), "partition")
    return any(
        folded_version(found["partition"].to_list(), found["data_version"].to_list()) == recorded
        for found in (by_name, by_number)
    )


def _same_partition(rows: pl.DataFrame, readers: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
    """What readers of their own partition read, and whether it is proven to be that."""
    found = readers.sort("pointer").join_asof(
        rows.select("partition", "event_id", "data_version").sort("event_id"),
        left_on="pointer",
        right_on="event_id",
        by="partition",
        strategy="backward",
        coalesce=False,
        check_sortedness=False,
    )
    proven = found["data_version"].eq_missing(found["recorded"]).all()
    events = found.drop_nulls("event_id").select("partition", "event_id").unique()
    return rows.join(events, on=["partition", "event_id"]), bool(proven)


def _read_at(rows: pl.DataFrame, pointers: pl.Series) -> pl.DataFrame:
    """Rows that were the newest of their partition at any of the pointers."""
    ordered = pointers.unique().sort()
    until = rows["event_id"].shift(-1).fill_null(_NEVER)
    return rows.filter(
        ordered.search_sorted(rows["event_id"], "left") < ordered.search_sorted(until, "left")
    )


def _readers_first(asset: str, reads: Mapping[str, Mapping[str, Reach]]) -> list[str]:
    order: dict[str, None] = {}
    path: set[str] = set()

    def visit(name: str) -> None:
        if name in order or name in path:
            return
        path.add(name)
        for dependency in reads.get(name, {}):
            visit(dependency)
        path.discard(name)
        order[name] = None

    visit(asset)
    return list(reversed(order))
