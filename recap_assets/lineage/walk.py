"""Where does this come from: from an asset's partitions back to the pool's shards.

Every materialization left a receipt, a row of the table `lineage`. A receipt names, for everything
that was read, the newest event that was seen; the upstream receipts are the newest ones up to that
event. So what was rebuilt later changes nothing of an older version's origin.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

import polars as pl

from recap_assets.graph.versions import folded_version
from recap_assets.lineage.origin import Ancestor, Origin
from recap_assets.lineage.rows import KEY, LineageError, Reach, Receipts

_NEVER = 2**62


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
        beyond_whole: Whether to continue to all partitions of what was read whole (scores, by a
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
        new = rows.unique(KEY, maintain_order=True)
        for part in chosen:
            new = new.join(part, on=KEY, how="anti")
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
