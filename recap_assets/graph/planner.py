"""What is out of date, and why: one pure function of the graph and the records.

It looks at state and not at events, so a missed event, a crash or a restart changes nothing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from recap_assets.graph.node import Graph, Leaving, Node
from recap_assets.graph.reasons import Reasons
from recap_assets.graph.records import Records
from recap_assets.graph.versions import VersionReader

State = Literal["ready", "blocked", "leaving"]


class OutOfDate(NamedTuple):
    """A partition to rebuild, or to remove.

    Attributes:
        asset: The node's key.
        partition: The partition's key; empty for a node without partitions.
        state: `ready`; `blocked` by something upstream that is out of date itself; `leaving` where
            the storage holds it and the experiment has it no more.
        reason: Why, for people.
    """

    asset: str
    partition: str
    state: State
    reason: str

    @property
    def may_stay(self) -> bool:
        """Whether it is built only if what it reads comes out otherwise."""
        return self.state == "blocked" and not self.reason.startswith(NEVER_BUILT)

    @property
    def name(self) -> str:
        """Asset and partition, for people."""
        return name_of(self.asset, self.partition)


def name_of(asset: str, partition: str) -> str:
    """`asset[partition]`, or the asset alone where it has no partitions."""
    return f"{asset}[{partition}]" if partition else asset


@dataclass(frozen=True)
class Plan:
    """Everything that is out of date, upstream first, and everything that is to be removed."""

    entries: tuple[OutOfDate, ...]
    removals: tuple[Leaving, ...] = ()

    @cached_property
    def ready(self) -> tuple[OutOfDate, ...]:
        """What can be built now."""
        return tuple(entry for entry in self.entries if entry.state == "ready")

    @cached_property
    def to_build(self) -> tuple[OutOfDate, ...]:
        """What can be built now or later."""
        return tuple(entry for entry in self.entries if entry.state != "leaving")

    def only(self, assets: Collection[str]) -> "Plan":
        """The plan of some assets; nothing is removed."""
        return Plan(tuple(entry for entry in self.to_build if entry.asset in assets))

    def __bool__(self) -> bool:
        return bool(self.entries)


def plan(graph: Graph, records: Records, *, look_for_content: bool = True) -> Plan:
    """Everything that is out of date, upstream first.

    Args:
        graph: What there should be.
        records: What there was at the last look.
        look_for_content: Whether to look in the storage if what was recorded is still there, and
            for what is there of things that left the experiment.

    Returns:
        A partition is ready when all it reads is up to date and its code version or an input's
        version differs from the recorded one; it is blocked when something it reads is out of date.
        A blocked one may turn out to be up to date once that is rebuilt with equal content.
    """
    reader = VersionReader(graph, records)
    reasons = Reasons(graph, records, reader)
    planning = _Planning(graph, reader, reasons, look_for_content=look_for_content)
    entries: list[OutOfDate] = []
    for node in graph.nodes.values():
        entries.extend(planning.out_of_date(node))
    removals = tuple(graph.leaving()) if look_for_content else ()
    entries += [OutOfDate(x.asset, p, "leaving", x.reason) for x in removals for p in x.partitions]
    return Plan(tuple(entries), removals)


class _Planning:
    """Plans node after node, each after what it reads."""

    def __init__(
        self, graph: Graph, reader: VersionReader, reasons: Reasons, *, look_for_content: bool
    ) -> None:
        self._graph = graph
        self._reader = reader
        self._reasons = reasons
        self._look = graph.look() if look_for_content and graph.look else None
        self._unfinished = graph.unfinished() if look_for_content else dict[str, float]()
        self._stale: dict[str, set[str]] = {}

    def out_of_date(self, node: Node) -> list[OutOfDate]:
        """What is out of date of one node."""
        entries = list(self._judge(node))
        self._stale[node.key] = {entry.partition for entry in entries}
        return entries

    def _judge(self, node: Node) -> Iterator[OutOfDate]:
        partitions = self._graph.partitions(node)
        records = self._reader.latest(node.key)
        whole, same = self._waits_for(node)
        if whole:
            for partition in partitions:
                yield _blocked(node, partition, [*whole, *same], partition in records)
            return
        readings = self._reader.readings_of(node)
        whole_of = readings.whole
        present = self._present(node)
        for partition in partitions:
            record = records.get(partition)
            waits = [asset for asset, stale in same.items() if partition in stale]
            if waits:
                yield _blocked(node, partition, waits, record is not None)
            elif record is None:
                yield OutOfDate(node.key, partition, "ready", NEVER_BUILT)
            elif not self._reader.has_code(node, record) or (
                record.inputs != (whole := whole_of(partition))
                and readings.of(partition, whole).differs(record)
            ):
                reason = self._reasons.of(node, partition, record)
                yield OutOfDate(node.key, partition, "ready", reason)
            elif present is not None and record.n_rows and partition not in present:
                yield OutOfDate(node.key, partition, "ready", GONE)
            elif self._unfinished and record.is_older(
                self._unfinished.get(name_of(node.key, partition))
            ):
                yield OutOfDate(node.key, partition, "ready", "its last build was interrupted")

    def _waits_for(self, node: Node) -> tuple[list[str], dict[str, set[str]]]:
        """Stale assets that every partition waits for, and those that partitions of a key do."""
        whole: list[str] = []
        same: dict[str, set[str]] = {}
        for dependency in node.dependencies:
            if stale := self._stale[dependency.asset]:
                if self._graph.reads_same(node, dependency):
                    same[dependency.asset] = stale
                elif not stale.isdisjoint(self._graph.read_by(node, "", dependency)):
                    whole.append(dependency.asset)
        return whole, same

    def _present(self, node: Node) -> Collection[str] | None:
        if self._look is None or node.content is None:
            return None
        return node.content.present(self._look)


def _blocked(node: Node, partition: str, waits: Sequence[str], was_built: bool) -> OutOfDate:  # noqa: FBT001 - passed by position, once a partition
    never = "" if was_built else f"{NEVER_BUILT}; "
    return OutOfDate(
        node.key, partition, "blocked", f"{never}upstream will change: {', '.join(waits)}"
    )


def why(graph: Graph, current: Plan, asset: str, partition: str) -> list[str]:
    """The causes of one partition's state, the nearest first, down to what changed.

    Returns:
        A line for each step, indented by its distance; one line that says so where the partition
        is up to date.
    """
    by_key: Mapping[tuple[str, str], OutOfDate] = {
        (entry.asset, entry.partition): entry for entry in current.entries
    }
    if (asset, partition) not in by_key:
        return [f"{name_of(asset, partition)} is up to date"]
    lines: list[str] = []
    seen: set[tuple[str, str]] = set()

    def walk(key: tuple[str, str], depth: int) -> None:
        entry = by_key[key]
        mark = "  " * depth
        if key in seen:
            return
        seen.add(key)
        lines.append(f"{mark}{entry.name}: {entry.reason}")
        node = graph.nodes.get(entry.asset)
        if node is None or entry.state != "blocked":
            return
        for dependency in node.dependencies:
            stale = [
                (dependency.asset, read)
                for read in graph.read_by(node, entry.partition, dependency)
                if (dependency.asset, read) in by_key
            ]
            for one in stale[:WHY_SHOWN]:
                walk(one, depth + 1)
            if len(stale) > WHY_SHOWN:
                lines.append(f"{mark}  and {len(stale) - WHY_SHOWN:,} more of {dependency.asset}")

    walk((asset, partition), 0)
    return lines


WHY_SHOWN = 3
NEVER_BUILT = "never built"
GONE = "its content is gone from the storage, or a file of its content is gone or cut"
"""Why a partition is built that was built already, and whose inputs stayed."""
