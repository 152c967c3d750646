"""Which ready partitions are built together, and what goes first."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from recap_assets.graph.node import Graph, Node
from recap_assets.graph.planner import OutOfDate

TOGETHER_SECONDS = 10.0
"""Assets that are expected to take less than this in all share a run."""

MOST_PARTITIONS = 64
"""Partitions that one run builds at most, so that workers share what is left evenly."""

SecondsOf = Callable[[str], float]
"""Expected seconds of one partition of an asset."""


@dataclass(frozen=True)
class Batch:
    """Neighbouring partitions of one asset, or of several quick ones: what one run builds.

    Attributes:
        nodes: The assets.
        partitions: The partitions, the same of each asset.
        seconds: What it is expected to take.
        n_gpus: GPUs that it is computed on.
    """

    nodes: tuple[Node, ...]
    partitions: tuple[str, ...]
    seconds: float = 0.0
    n_gpus: int = 0

    @property
    def keys(self) -> set[tuple[str, str]]:
        """Its (asset, partition) pairs."""
        return {(node.key, partition) for node in self.nodes for partition in self.partitions}

    @property
    def name(self) -> str:
        """In words, for people."""
        assets = ", ".join(node.key for node in self.nodes[:2])
        more = f" and {len(self.nodes) - 2} more" if len(self.nodes) > 2 else ""
        if self.partitions == ("",):
            return f"{assets}{more}"
        first, last = self.partitions[0], self.partitions[-1]
        return f"{assets}{more} [{first if first == last else f'{first} ... {last}'}]"


def neighbours(
    order: Sequence[str], wanted: Sequence[str], most: int | None = None
) -> Iterator[tuple[str, ...]]:
    """Split `wanted` into groups without a gap in `order`, each of at most `most` partitions."""
    place = {key: i for i, key in enumerate(order)}
    group: list[str] = []
    for key in sorted(wanted, key=place.__getitem__):
        if group and (place[key] != place[group[-1]] + 1 or len(group) == most):
            yield tuple(group)
            group = []
        group.append(key)
    if group:
        yield tuple(group)


def batches_of(
    graph: Graph,
    ready: Sequence[OutOfDate],
    jobs: int,
    seconds_of: SecondsOf | None = None,
    n_gpus: int = 0,
    elsewhere: Collection[str] = (),
) -> list[Batch]:
    """Group what is ready into batches for `jobs` workers, what most work waits for first.

    Args:
        graph: The nodes.
        ready: What can be built now.
        jobs: Number of workers.
        seconds_of: Expected seconds of one partition of an asset; by default the stage's guess.
        n_gpus: GPUs that may be used. What is computed on some is in a batch of its own, apart
            from what is computed on none or on another number.
        elsewhere: Assets that workers of other machines compute: they need no GPU of this one.
    """
    seconds_of = seconds_of or (lambda asset: graph.nodes[asset].seconds)
    by_asset: dict[str, list[str]] = {}
    for entry in ready:
        by_asset.setdefault(entry.asset, []).append(entry.partition)
    waiting = seconds_after(graph, seconds_of)
    groups: dict[tuple[str, tuple[str, ...], int], list[Node]] = {}
    for asset, partitions in by_asset.items():
        node = graph.nodes[asset]
        order = graph.partitions(node)
        needs = 0 if asset in elsewhere else needed(node, n_gpus)
        workers = n_gpus // needs if needs else jobs
        most = max(1, -(-len(order) // workers)) if node.dimension == "pool" else 1
        for group in neighbours(order, partitions, min(most, MOST_PARTITIONS)):
            groups.setdefault((node.dimension, group, needs), []).append(node)
    found = [
        batch
        for (_dimension, partitions, needs), members in groups.items()
        for batch in _together(
            sorted(members, key=lambda n: -waiting[n.key]), partitions, seconds_of, needs
        )
    ]
    return sorted(found, key=lambda b: -(b.seconds + max(waiting[n.key] for n in b.nodes)))


def needed(node: Node, n_gpus: int) -> int:
    """GPUs that a node's partition is computed on where `n_gpus` may be used."""
    return n_gpus if node.gpus is None else min(node.gpus, n_gpus)


def seconds_after(graph: Graph, seconds_of: SecondsOf) -> dict[str, float]:
    """For each node the longest chain of expected seconds that waits for it."""
    after = dict.fromkeys(graph.nodes, 0.0)
    for node in reversed(list(graph.nodes.values())):
        n_partitions = len(graph.partitions(node)) if node.dimension == "pool" else 1
        chain = after[node.key] + seconds_of(node.key) * n_partitions
        for dependency in node.dependencies:
            after[dependency.asset] = max(after[dependency.asset], chain)
    return after


def _together(
    nodes: Sequence[Node], partitions: tuple[str, ...], seconds_of: SecondsOf, n_gpus: int
) -> Iterator[Batch]:
    group: list[Node] = []
    seconds = 0.0
    for node in nodes:
        own = seconds_of(node.key) * len(partitions)
        if group and seconds + own > TOGETHER_SECONDS:
            yield Batch(tuple(group), partitions, seconds, n_gpus)
            group, seconds = [], 0.0
        group.append(node)
        seconds += own
    if group:
        yield Batch(tuple(group), partitions, seconds, n_gpus)
