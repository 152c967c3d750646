"""What a plan will cost, by what building took before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from statistics import fmean
from types import MappingProxyType
from typing import NamedTuple

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.graph.node import Graph, Node
from recap_assets.graph.records import Record, Records
from recap_assets.graph.reuse import Counts
from recap_assets.graph.taking_over import NOTHING, TakingOver

LEAST_SECONDS = 1.0
"""Of a partition with few images, whose run and model begin as those of any other."""


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


class Pace(NamedTuple):
    """How long something was guessed to take, and took: seconds of one worker."""

    guessed: float
    took: float

    @property
    def ratio(self) -> float:
        """How many times longer it took."""
        return self.took / self.guessed


class Estimates:
    """Expected costs.

    A partition's own last one; else the mean of its asset's others; else the stage's guess, by how
    much longer than guessed the assets of its kind took, such as all captioners; else by how much
    longer whatever was measured here did. A guess for some images is scaled to those of a partition
    of the pool, as soon as the pool is indexed. Where it is known how many rows are
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
        return self._measured(asset) or self._of_kind(node) or self._guess(node)

    def is_unmeasured(self, asset: str) -> bool:
        """Whether neither the asset nor one of its kind was ever built here."""
        return self._measured(asset) is None and not self._alike(self._graph.nodes[asset])

    @cached_property
    def paces(self) -> list[Pace]:
        """What each asset that was built was guessed to take, and took."""
        measured = (one for alike in self._by_kind.values() for one in alike)
        return [Pace(self._guessed(node), cost.seconds) for node, cost in measured]

    def of_all(self, partitions: Iterable[tuple[str, str]]) -> Cost:
        """What building several (asset, partition) is expected to take in all."""
        return sum((self.of(asset, partition) for asset, partition in partitions), Cost())

    def _measured(self, asset: str) -> Cost | None:
        if asset not in self._of_asset:
            built = [one for one in self.records.latest(asset).values() if one.seconds]
            self._of_asset[asset] = _mean(built) if built else None
        return self._of_asset[asset]

    def _guess(self, node: Node) -> Cost:
        return Cost(self._guessed(node) * typical_pace(self.paces), is_guess=True)

    def _guessed(self, node: Node) -> float:
        """Seconds of one partition, as its stage guesses."""
        if node.seconds_are_of is None or self._images is None:
            return node.seconds
        scaled = node.seconds * self._images / node.seconds_are_of
        return max(scaled, min(node.seconds, LEAST_SECONDS))

    @cached_property
    def _images(self) -> float | None:
        """Of a partition of the pool, on average; None where none is indexed."""
        indexed = [one.n_rows for one in self.records.latest(RAW_POOL.key()).values() if one.n_rows]
        return fmean(indexed) if indexed else None

    def _of_kind(self, node: Node) -> Cost | None:
        if not (alike := self._alike(node)):
            return None
        # A training that sees three times the samples takes three times as long.
        own, others = self._guessed(node), [self._guessed(other) for other, _ in alike]
        larger = [own / guessed if guessed else 1.0 for guessed in others]
        return Cost(
            fmean(by * cost.seconds for by, (_, cost) in zip(larger, alike, strict=True)),
            fmean(by * cost.gpu_seconds for by, (_, cost) in zip(larger, alike, strict=True)),
            sum(cost.n_bytes for _, cost in alike) // len(alike),
            is_guess=True,
        )

    def _alike(self, node: Node) -> list[tuple[Node, Cost]]:
        """The assets of its kind that were measured."""
        return self._by_kind.get(_kind_of(node), [])

    @cached_property
    def _by_kind(self) -> dict[tuple[str, str], list[tuple[Node, Cost]]]:
        found: dict[tuple[str, str], list[tuple[Node, Cost]]] = {}
        for key, node in self._graph.nodes.items():
            if (cost := self._measured(key)) is not None:
                found.setdefault(_kind_of(node), []).append((node, cost))
        return found


def _kind_of(node: Node) -> tuple[str, str]:
    return node.stage, node.key.partition("/")[0]


def typical_pace(paces: Iterable[Pace]) -> float:
    """How many times longer than guessed things take here, at least 1.

    The median, by the guessed seconds: a model of a thousand times the guess says that it is large,
    and of the machine nothing. Nor does what took less: guesses are of full shards, and small ones
    are indexed in no time.
    """
    known = sorted((one for one in paces if one.guessed > 0), key=lambda one: one.ratio)
    half = sum(one.guessed for one in known) / 2
    reached = accumulate(one.guessed for one in known)
    middle = (one.ratio for one, so_far in zip(known, reached, strict=True) if so_far >= half)
    return max(1.0, next(middle, 1.0))


def _mean(records: list[Record]) -> Cost:
    return Cost(
        fmean(one.seconds for one in records),
        fmean(one.gpu_seconds for one in records),
        round(fmean(one.n_bytes for one in records)),
    )
