"""The graph of all that an experiment builds: nodes, what they read, how they are computed."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Literal

from recap_assets.orchestration.checks import Check

Dimension = Literal["none", "pool", "seed"]
"""What the partitions of a node are: none, pool partitions, or training seeds."""

Progress = Callable[[float], None]
"""Told the done fraction of one partition, between 0 and 1."""


@dataclass(frozen=True)
class Dependency:
    """An edge: a node reads another one's partition of the same key, or all of its partitions."""

    asset: str
    partitions: Literal["same", "all"]


@dataclass(frozen=True)
class Outcome:
    """What computing one partition gave.

    Attributes:
        data_version: Hash of the content written.
        n_rows: Rows written.
        rejected: Rows set aside, by reason.
        facts: Small numbers and words for people, shown with the materialization.
        markdown: A preview, in markdown.
        table_version: Delta version that was written; None where the content was there already.
    """

    data_version: str
    n_rows: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    markdown: Mapping[str, str] = field(default_factory=dict)
    table_version: int | None = None


@dataclass(frozen=True)
class Step:
    """One partition to compute, and what is known of it.

    Attributes:
        partition: Its key; empty for a node without partitions.
        fingerprint: Hash of the code version and of all inputs' versions.
        known_version: Data version that the partition holds by the records, if any.
        commit: Facts to keep in the Delta log.
        progress: To be told how far the partition is.
    """

    partition: str
    fingerprint: str = ""
    known_version: str | None = None
    commit: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = lambda _done: None


@dataclass(frozen=True)
class Node:
    """One asset.

    Attributes:
        key: The asset's name, parts joined by a slash.
        stage: The stage it belongs to; its group in the UI.
        dimension: What its partitions are.
        dependencies: What it reads.
        code_version: Hash of its spec and of the implementation's version.
        compute: Computes and writes one partition.
        description: What a user needs to know of it.
        spec: Its spec in canonical form, for saying what changed.
        outside: Version of what a partition reads from outside the graph (shards in a bucket).
        present: Partitions whose content is still where it was written; None: not looked at.
        seconds: A guess of one partition's time, for the first plan, before there is a history.
        pool: The concurrency pool that a computation takes a place in.
        kinds: Tags for the UI.
        checks: What must hold of the content.
    """

    key: str
    stage: str
    dimension: Dimension
    dependencies: tuple[Dependency, ...]
    code_version: str
    compute: Callable[[Step], Outcome]
    description: str
    spec: str = "{}"
    outside: Callable[[str], str] | None = None
    present: Callable[[], Collection[str]] | None = None
    seconds: float = 1.0
    pool: Literal["cpu", "gpu"] = "cpu"
    kinds: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def spec_value(self) -> dict[str, object]:
        """The spec as plain JSON values."""
        return json.loads(self.spec)


class Graph:
    """All nodes of an experiment in an order in which each comes after what it reads."""

    def __init__(
        self, nodes: Sequence[Node], partitions: Callable[[Dimension], Sequence[str]]
    ) -> None:
        by_key = {node.key: node for node in nodes}
        edges = {node.key: {dep.asset for dep in node.dependencies} for node in nodes}
        order = TopologicalSorter(edges).static_order()
        self.nodes: dict[str, Node] = {key: by_key[key] for key in order}
        self._partitions = partitions

    def partitions(self, node: Node) -> tuple[str, ...]:
        """Keys of the node's partitions; one empty key where it has none."""
        return ("",) if node.dimension == "none" else tuple(self._partitions(node.dimension))

    def read_by(self, node: Node, partition: str, dependency: Dependency) -> tuple[str, ...]:
        """Partitions of the dependency that this partition of the node reads."""
        if dependency.partitions == "same" and node.dimension != "none":
            return (partition,)
        return self.partitions(self.nodes[dependency.asset])
