"""Whether what is stored is what was recorded, and whether a rebuild gave the same."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from recap_assets.graph.node import Node
from recap_assets.graph.records import OUTSIDE
from recap_assets.lineage.facets import Row, still_holds
from recap_assets.lineage.origin import Origin
from recap_assets.lineage.rows import Receipt
from recap_assets.storage.tables import StorageError

EDITED = (
    "what is stored was changed by something other than a build; restore it, or remove the slice "
    "and build again"
)
CHANGED_SINCE = (
    "the recorded Delta version is whole, but the table was changed since by something other than "
    "a build; restore the slice, or remove it and build again"
)
REBUILT = "it was rebuilt since, and files hold the last build only; `recap reproduce` rebuilds"
GONE = "it cannot be read: {error}. `recap pin` before `recap gc` keeps versions readable"
SUPERSEDED = (
    "an earlier version of it is kept no longer; what was read of that is the same in the present "
    "one, which was checked"
)
WHY_NOT = (
    "inputs, code, libraries and device are the same: the computation itself does not repeat here"
)


UNREADABLE = (StorageError, OSError, ValueError, pl.exceptions.PolarsError)
"""What reading something stored may raise."""


@dataclass(frozen=True)
class Difference:
    """A partition whose stored content is not what was recorded.

    Attributes:
        asset: Its asset.
        partition: Its key; empty for an asset without partitions.
        recorded: Data version by the receipt.
        found: Data version of what is stored; None where nothing can be read.
        meaning: What that means and what to do.
    """

    asset: str
    partition: str
    recorded: str
    found: str | None
    meaning: str


@dataclass
class Verification:
    """What verifying an origin found.

    Attributes:
        n_checked: Partitions whose hash was computed again.
        unchecked: Assets whose hash could not be, and why.
        differences: Partitions with another hash.
    """

    n_checked: int = 0
    unchecked: dict[str, str] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)


def verify(
    origin: Origin,
    node_of: Callable[[str, str], Node | None],
    newest: Callable[[str], Mapping[str, Row]],
    *,
    present: bool,
) -> Verification:
    """Compute the hash of everything in a tree again, at the Delta versions that were recorded.

    Args:
        origin: The tree.
        node_of: From an asset and the hash of its experiment to its node, if it can be had.
        newest: From an asset to the last receipt of each partition.
        present: Whether what the tables hold now is to be the same, where the receipt is the last.
    """
    result = Verification()
    for ancestor in origin.ancestors.values():
        last = newest(ancestor.asset)
        for row in ancestor.rows.iter_rows(named=True):
            node = node_of(ancestor.asset, row["experiment"])
            if node is None:
                why = "it left the experiment, and the one that it was built by is not known"
                result.unchecked[ancestor.asset] = why
                continue
            now = last.get(row["partition"])
            is_last = now is not None and now["data_version"] == row["data_version"]
            later = None if now is None or is_last else now
            found = _stored(node, row, is_last=is_last)
            if later and not found.is_there and still_holds(origin, ancestor.asset, row, later):
                result.unchecked[ancestor.asset] = SUPERSEDED
                found = _stored(node, later, is_last=True)
            found.check(result, now_too=present and is_last)
    return result


def _stored(node: Node, row: Row, *, is_last: bool) -> "Stored":
    versions = json.loads(row["table_versions"])
    return Stored(node, row["partition"], row["data_version"], versions, is_last)


@dataclass(frozen=True)
class Stored:
    """What is stored of one partition, and what is known of it."""

    node: Node
    partition: str
    recorded: str
    table_versions: Mapping[str, int]
    is_last: bool

    @property
    def is_there(self) -> bool:
        """Whether it can be read."""
        try:
            self.node.stored_version(self.partition, self.table_versions)
        except UNREADABLE:
            return False
        return True

    def check(self, result: Verification, *, now_too: bool) -> None:
        """Hash it at the recorded Delta versions, and as it is now; report the result."""
        in_tables = bool(self.table_versions and self.node.places(self.partition))
        meaning = EDITED if self.is_last or in_tables else REBUILT
        found = self._hash(result, self.table_versions, meaning)
        result.n_checked += found is not None
        if now_too and in_tables and found == self.recorded:
            self._hash(result, {}, CHANGED_SINCE)

    def _hash(
        self, result: Verification, table_versions: Mapping[str, int], meaning: str
    ) -> str | None:
        where = (self.node.key, self.partition, self.recorded)
        try:
            found = self.node.stored_version(self.partition, table_versions)
        except UNREADABLE as error:
            lost = Difference(*where, None, GONE.format(error=error))
            result.differences.append(lost)
            return None
        if found is None:
            result.unchecked[self.node.key] = "its version is not a hash of what is stored"
        elif found != self.recorded:
            result.differences.append(Difference(*where, found, meaning))
        return found


@dataclass(frozen=True)
class Comparison:
    """A partition as it was recorded, and as it was built again.

    Attributes:
        asset: Its asset.
        partition: Its key.
        recorded: Data version by the receipt.
        found: Data version of the rebuild; None where there is none.
        cause: Why they differ, as far as receipts show; empty where they are equal.
    """

    asset: str
    partition: str
    recorded: str
    found: str | None
    cause: str

    @property
    def equal(self) -> bool:
        """Whether the rebuild gave the same content."""
        return self.recorded == self.found


def compare(recorded: Origin, again: Origin) -> Iterator[Comparison]:
    """Every partition of the recorded tree beside its rebuild, upstream first."""
    for ancestor in reversed(list(recorded.ancestors.values())):
        rows = again.ancestors[ancestor.asset].rows if ancestor.asset in again.ancestors else None
        rebuilt = {} if rows is None else {row["partition"]: row for row in rows.to_dicts()}
        for row in ancestor.rows.unique("partition", keep="last").sort("partition").to_dicts():
            other = rebuilt.get(row["partition"])
            where = (ancestor.asset, row["partition"], row["data_version"])
            if other is None:
                yield Comparison(*where, None, "it is not there now: its shards left the pool")
            elif other["data_version"] == row["data_version"]:
                yield Comparison(*where, other["data_version"], "")
            else:
                cause = cause_of(Receipt.parse(row), Receipt.parse(other))
                yield Comparison(*where, other["data_version"], cause)


def cause_of(recorded: Receipt, again: Receipt) -> str:
    """Why two builds of one partition differ, the likeliest cause first."""
    causes = []
    before, now = recorded.inputs, again.inputs
    if before.get(OUTSIDE) != now.get(OUTSIDE):
        causes.append("what it reads from outside changed since (shards, sets)")
    if others := [name for name in before if name != OUTSIDE and before[name] != now.get(name)]:
        causes.append(f"it reads {', '.join(others)}, which differs")
    if recorded.implementation != again.implementation:
        causes.append(f"other code: implementation {recorded.implementation} then, "
                      f"{again.implementation} now")  # fmt: skip
    elif recorded.decides != again.decides:
        causes.append("the specs are read in another way by this version of the program")
    names = sorted(recorded.provenance.keys() | again.provenance.keys())
    causes += [
        f"{name.removeprefix('recap.')} {recorded.provenance.get(name, 'unknown')} then, "
        f"{again.provenance.get(name, 'unknown')} now"
        for name in names
        if recorded.provenance.get(name) != again.provenance.get(name)
    ]
    if recorded.device != again.device:
        causes.append(f"device {recorded.device} then, {again.device} now")
    return "; ".join(causes) or WHY_NOT
