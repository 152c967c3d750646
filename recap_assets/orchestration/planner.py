"""What is out of date, and why: one pure function of the graph and the records.

It looks at state and not at events, so a missed event, a crash or a restart changes nothing.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from recap_assets.orchestration.graph import Dependency, Graph, Node

OUTSIDE = "outside"
"""The input that stands for what a partition reads from outside the graph."""


@dataclass(frozen=True)
class Record:
    """What is remembered of the last materialization of one partition.

    Attributes:
        data_version: Hash of the content.
        fingerprint: Hash of the code version and of the inputs' versions.
        code_version: Of the node, when it was built.
        inputs: Version of each input, when it was read.
        n_rows: Rows written.
        event_id: The event that told of it, in the order of events.
    """

    data_version: str
    fingerprint: str
    code_version: str
    inputs: Mapping[str, str]
    n_rows: int = 0
    event_id: int = 0


class Records(Protocol):
    """The memory of what was built."""

    def latest(self, asset: str) -> Mapping[str, Record]:
        """The last record of each partition; the key is empty for a node without partitions."""
        ...


class RememberedRecords:
    """Records as of the last look: what nobody touched is not asked for again."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._latest: dict[str, Mapping[str, Record]] = {}

    def latest(self, asset: str) -> Mapping[str, Record]:
        """The last record of each partition, from memory where it is there."""
        if asset not in self._latest:
            self._latest[asset] = self._records.latest(asset)
        return self._latest[asset]

    def forget(self, assets: Iterable[str]) -> None:
        """Ask for these again next time."""
        for asset in list(assets):
            self._latest.pop(asset, None)


@dataclass(frozen=True)
class Inputs:
    """Versions of what one partition reads, at one moment."""

    versions: Mapping[str, str]

    def fingerprint(self, code_version: str) -> str:
        """Hash over the code version and every input's version."""
        digest = hashlib.sha256(code_version.encode())
        for name, version in sorted(self.versions.items()):
            digest.update(f"\n{name}={version}".encode())
        return digest.hexdigest()[:32]


@dataclass(frozen=True)
class OutOfDate:
    """A partition to rebuild.

    Attributes:
        asset: The node's key.
        partition: The partition's key; empty for a node without partitions.
        state: `ready`, or `blocked` by something upstream that is out of date itself.
        reason: Why, in words.
    """

    asset: str
    partition: str
    state: Literal["ready", "blocked"]
    reason: str


@dataclass(frozen=True)
class Plan:
    """Everything that is out of date, upstream first."""

    entries: tuple[OutOfDate, ...]

    @cached_property
    def ready(self) -> tuple[OutOfDate, ...]:
        """What can be built now."""
        return tuple(entry for entry in self.entries if entry.state == "ready")

    def __bool__(self) -> bool:
        return bool(self.entries)


def plan(graph: Graph, records: Records, *, look_for_content: bool = True) -> Plan:
    """Everything that is out of date, upstream first.

    Args:
        graph: What there should be.
        records: What there was at the last look.
        look_for_content: Whether to look in the storage if what was recorded is still there.

    Returns:
        A partition is ready when all it reads is up to date and its fingerprint differs from the
        recorded one; it is blocked when something it reads is out of date. A blocked one may turn
        out to be up to date once that is rebuilt with equal content.
    """
    reader = VersionReader(graph, records, look_for_content=look_for_content)
    stale: dict[str, set[str]] = {}
    entries: list[OutOfDate] = []
    for node in graph.nodes.values():
        stale[node.key] = set()
        for partition in graph.partitions(node):
            entry = _judge(graph, node, partition, stale, reader)
            if entry is not None:
                stale[node.key].add(partition)
                entries.append(entry)
    return Plan(tuple(entries))


def _judge(
    graph: Graph, node: Node, partition: str, stale: Mapping[str, set[str]], reader: "VersionReader"
) -> OutOfDate | None:
    waits_for = [
        dependency.asset
        for dependency in node.dependencies
        if (bad := stale[dependency.asset])
        and not bad.isdisjoint(graph.read_by(node, partition, dependency))
    ]
    record = reader.record(node.key, partition)
    if waits_for:
        never = "never built; " if record is None else ""
        reason = f"{never}upstream will change: {', '.join(waits_for)}"
        return OutOfDate(node.key, partition, "blocked", reason)
    if record is None:
        return OutOfDate(node.key, partition, "ready", "never built")
    inputs = reader.inputs(node, partition)
    if inputs.fingerprint(node.code_version) != record.fingerprint:
        return OutOfDate(node.key, partition, "ready", _reason(node, record, inputs))
    if record.n_rows and not reader.is_present(node, partition):
        return OutOfDate(node.key, partition, "ready", "its content is gone from the storage")
    return None


def _reason(node: Node, record: Record, inputs: Inputs) -> str:
    reasons = [] if node.code_version == record.code_version else ["its spec or code changed"]
    for name in sorted(inputs.versions.keys() | record.inputs.keys()):
        if name not in record.inputs:
            reasons.append(f"new input {name}")
        elif name not in inputs.versions:
            reasons.append(f"input {name} is gone")
        elif inputs.versions[name] != record.inputs[name]:
            reasons.append(f"{name} changed")
    return "; ".join(reasons) or "recorded by another version of the planner"


class VersionReader:
    """Versions of inputs, with the fold over all partitions of a node computed once."""

    def __init__(self, graph: Graph, records: Records, *, look_for_content: bool = True) -> None:
        self._graph = graph
        self._records = records
        self._looks = look_for_content
        self._latest: dict[str, Mapping[str, Record]] = {}
        self._folded: dict[str, str] = {}
        self._present: dict[str, Collection[str]] = {}

    def record(self, asset: str, partition: str) -> Record | None:
        """The last record of a partition."""
        return self._of(asset).get(partition)

    def is_present(self, node: Node, partition: str) -> bool:
        """Whether the partition's content is still where it was written."""
        if node.present is None or not self._looks:
            return True
        if node.key not in self._present:
            self._present[node.key] = node.present()
        return partition in self._present[node.key]

    def inputs(self, node: Node, partition: str) -> Inputs:
        """Versions of everything that the partition reads; `missing` for what was never built."""
        versions = {dep.asset: self._version(node, partition, dep) for dep in node.dependencies}
        if node.outside is not None:
            versions[OUTSIDE] = node.outside(partition)
        return Inputs(versions)

    def events(self, node: Node, partition: str) -> dict[str, int]:
        """For each dependency the newest event that the partition reads."""
        return {
            dep.asset: max(
                record.event_id
                for key in self._graph.read_by(node, partition, dep)
                if (record := self.record(dep.asset, key)) is not None
            )
            for dep in node.dependencies
        }

    def _version(self, node: Node, partition: str, dependency: Dependency) -> str:
        if len(keys := self._graph.read_by(node, partition, dependency)) == 1:
            record = self.record(dependency.asset, keys[0])
            return "missing" if record is None else record.data_version
        if dependency.asset not in self._folded:
            digest = hashlib.sha256()
            for key in keys:
                record = self.record(dependency.asset, key)
                digest.update(f"{key}={record.data_version if record else 'missing'}\n".encode())
            self._folded[dependency.asset] = digest.hexdigest()[:32]
        return self._folded[dependency.asset]

    def _of(self, asset: str) -> Mapping[str, Record]:
        if asset not in self._latest:
            self._latest[asset] = self._records.latest(asset)
        return self._latest[asset]
