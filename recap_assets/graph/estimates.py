"""What a plan will cost, by what building took before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from types import MappingProxyType

from recap_assets.graph.node import Graph, Node
from recap_assets.graph.records import Record, Records
from recap_assets.graph.reuse import Counts
from recap_assets.graph.taking_over import NOTHING, TakingOver


@dataclass(frozen=True)
class Cost:
    """What building something takes.

    Attributes:
        seconds: Of one worker.
        gpu_seconds: The part of them that a GPU is held.
        n_bytes: Bytes written.
        is_guess: True where nothing like it was built before.
    """

    seconds: float = 0.0
    gpu_seconds: float = 0.0
    n_bytes: int = 0
    is_guess: bool = False

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.seconds + other.seconds,
            self.gpu_seconds + other.gpu_seconds,
            self.n_bytes + other.n_bytes,
            self.is_guess or other.is_guess,
        )


class Estimates:
    """Expected costs.

    A partition's own last one; else the mean of its asset's others; else that of the assets of its
    kind, such as all captioners; else the stage's guess. Where it is known how many rows are
    computed and how many reused, it is the computed ones' share of that. What is taken over as a
    whole is expected to take no time: it is hashed and copied.

    Args:
        graph: The nodes.
        records: What was built.
        counts: Rows of some partitions, by (asset, partition).
        taking_over: What is taken over as a whole.
    """

    def __init__(
        self,
        graph: Graph,
        records: Records,
        counts: Mapping[tuple[str, str], Counts] = MappingProxyType({}),
        taking_over: TakingOver = NOTHING,
    ) -> None:
        self._graph = graph
        self.records = records
        self.counts = counts
        self.taking_over = taking_over
        self._of_asset: dict[str, Cost | None] = {}

    def of(self, asset: str, partition: str) -> Cost:
        """What building one partition is expected to take."""
        record = self.records.latest(asset).get(partition)
        if record is not None and record.seconds:
            cost = Cost(record.seconds, record.gpu_seconds, record.n_bytes)
        else:
            cost = self.of_asset(asset)
        if (asset, partition) in self.taking_over.known:
            return Cost(n_bytes=cost.n_bytes)
        counts = self.counts.get((asset, partition))
        if counts is None or not counts.reused:
            return cost
        share = counts.computed / (counts.computed + counts.reused)
        return replace(cost, seconds=cost.seconds * share, gpu_seconds=cost.gpu_seconds * share)

    def of_asset(self, asset: str) -> Cost:
        """What building one partition of an asset is expected to take, on average."""
        node = self._graph.nodes[asset]
        return self._measured(asset) or self._of_kind(node) or Cost(node.seconds, is_guess=True)

    def of_all(self, partitions: Iterable[tuple[str, str]]) -> Cost:
        """What building several (asset, partition) is expected to take in all."""
        return sum((self.of(asset, partition) for asset, partition in partitions), Cost())

    def _measured(self, asset: str) -> Cost | None:
        if asset not in self._of_asset:
            built = [one for one in self.records.latest(asset).values() if one.seconds]
            self._of_asset[asset] = _mean(built) if built else None
        return self._of_asset[asset]

    def _of_kind(self, node: Node) -> Cost | None:
        kind = node.key.partition("/")[0]
        alike = [
            cost
            for other in self._graph.nodes.values()
            if other.stage == node.stage
            and other.key.partition("/")[0] == kind
            and (cost := self._measured(other.key)) is not None
        ]
        if not alike:
            return None
        n = len(alike)
        total = sum(alike, Cost())
        return Cost(total.seconds / n, total.gpu_seconds / n, total.n_bytes // n, is_guess=True)


def _mean(records: list[Record]) -> Cost:
    return Cost(
        fmean(one.seconds for one in records),
        fmean(one.gpu_seconds for one in records),
        round(fmean(one.n_bytes for one in records)),
    )
