"""What a build with a budget may still begin: a batch gets a share, and the rest of it comes back.

Where a partition's cost was measured before, a batch is begun only if it is expected to fit. One of
captions may be begun though it does not: its meter stops it between two shards.
"""

import json
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, replace

import polars as pl

from recap_assets.artefacts.captions import CAPTIONS_LEFT_OUT, SYNTHETIC_CAPTIONS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.assembly.server_tokens import TokenEstimates
from recap_assets.defs.metering import BUDGET_TAG
from recap_assets.graph.batches import Batch
from recap_assets.graph.budget import STOPPED, Budget, Rate, Spent
from recap_assets.graph.estimates import Estimates
from recap_assets.graph.kept_rows import UNREADABLE
from recap_assets.graph.node import Node
from recap_assets.graph.project import Project

VALUED_SECONDS = 5.0
"""How long what building is expected to take is not looked up again."""


class Purse:
    """What is left of a budget while batches are at work.

    Args:
        budget: What may be spent.
        project: The experiment.
        estimates: Gives what building is expected to take, by what was measured until now.
        n_gpus: GPUs that may be used.
        elsewhere: Assets that are computed on other machines; no meter stops those of them that
            are not computed by shards.
        clock: The time, in seconds since 1970.
    """

    def __init__(
        self,
        budget: Budget,
        project: Project,
        estimates: Callable[[], Estimates],
        n_gpus: int,
        elsewhere: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.budget = budget
        self.spent = Spent()
        self.stopped: set[tuple[str, str]] = set()
        self._project, self._estimates = project, estimates
        self._n_gpus, self._elsewhere, self._clock = n_gpus, elsewhere, clock
        self._reserved: dict[int, Spent] = {}
        self._images: dict[tuple[str, str], int] = {}
        self._valued: tuple[float, Estimates, TokenEstimates] | None = None

    def has_stopped(self, key: tuple[str, str], error: str | None) -> bool:
        """Whether a partition stopped for the budget, by what went wrong with it; it then waits."""
        if is_spent := bool(error and error.startswith(STOPPED)):
            self.stopped.add(key)
        return is_spent

    @property
    def left(self) -> Budget:
        """What is neither spent nor set apart for what is at work."""
        return self.budget.without(sum(self._reserved.values(), self.spent))

    def affordable(self, batch: Batch) -> Batch | None:
        """The beginning of a batch that fits into what is left; None where nothing of it does."""
        left, now = self.left, self._clock()
        expected, seconds, n = Spent(), 0.0, 0
        for partition in batch.partitions:
            for node in batch.nodes:
                cost, took = self._expected(node, partition)
                expected, seconds = expected + cost, seconds + took
            if not left.allows(expected, now + seconds):
                break
            n += 1
        if n == 0 and self._stops_between_shards(batch) and self._is_any_left(left):
            n = 1
        return _beginning(batch, n) if n else None

    def begin(self, batch: Batch) -> dict[str, str]:
        """Set a batch's share apart; the tags of its run, which say what it may spend."""
        left = self.left
        expected = Spent()
        for partition in batch.partitions:
            for node in batch.nodes:
                expected += self._expected(node, partition)[0]
        self._reserved[id(batch)] = Spent(
            min(expected.gpu_seconds, _or_endless(left.gpu_seconds)),
            min(expected.money, _or_endless(left.money)),
            int(min(expected.captions, _or_endless(left.captions))),
        )
        rates = {node.key: asdict(self._rate(node, batch.partitions[0])) for node in batch.nodes}
        return {BUDGET_TAG: json.dumps({"left": asdict(left), "rates": rates})}

    def end(self, batch: Batch, spent: Spent) -> None:
        """Count what a batch has spent, and take back the rest of its share."""
        self._reserved.pop(id(batch), None)
        self.spent += spent

    def _values(self) -> tuple[Estimates, TokenEstimates]:
        """What building is expected to take, looked up again every few seconds."""
        if self._valued is None or time.monotonic() - self._valued[0] > VALUED_SECONDS:
            estimates = self._estimates()
            tokens = TokenEstimates(self._project, estimates)
            self._valued = (time.monotonic(), estimates, tokens)
        return self._valued[1:]

    def _stops_between_shards(self, batch: Batch) -> bool:
        first, *others = batch.nodes
        is_of_captions = first.key.startswith(f"{SYNTHETIC_CAPTIONS.name}/")
        return (
            not others and is_of_captions and (first.by_shard or first.key not in self._elsewhere)
        )

    def _is_any_left(self, left: Budget) -> bool:
        bounds = (left.gpu_seconds, left.money, left.captions)
        in_time = left.until is None or self._clock() < left.until
        return in_time and all(one is None or one > 0 for one in bounds)

    def _expected(self, node: Node, partition: str) -> tuple[Spent, float]:
        """What building a partition is expected to cost, and its seconds."""
        estimates, priced = self._values()
        cost = estimates.of(node.key, partition)
        on_gpu = bool(node.gpus != 0 and self._n_gpus)
        gpu_seconds = cost.seconds if on_gpu else cost.gpu_seconds
        money = self._project.experiment.prices.of(cost.seconds, gpu_seconds) or 0.0
        tokens = priced.of(node.key, partition)
        money += (tokens.cost or 0.0) if tokens else 0.0
        rate = self._rate(node, partition)
        n_captions = round(rate.captions * self._n_images(node, partition))
        return Spent(gpu_seconds, money, n_captions), cost.seconds

    def _rate(self, node: Node, partition: str) -> Rate:
        """What an image of a partition is expected to take."""
        estimates, priced = self._values()
        n = max(self._n_images(node, partition), 1)
        seconds = estimates.of(node.key, partition).seconds / n
        tokens = priced.of(node.key, partition)
        money = (tokens.cost or 0.0) / n if tokens else 0.0
        return Rate(seconds, self._candidates(node), money)

    def _candidates(self, node: Node) -> int:
        """Captions of an image; 0 of what is no caption source that a model writes."""
        table, _, source = node.key.partition("/")
        if table != SYNTHETIC_CAPTIONS.name or node.rows is None:
            return 0
        # Of most kinds the base class has the field, of some it is their own.
        return int(getattr(self._project.experiment.sources[source], "candidates", 1))

    def _n_images(self, node: Node, partition: str) -> int:
        """The images that a partition is computed from; 0 where there are none or nobody knows."""
        if node.dimension != "pool":
            return 0
        key = (node.key if self._candidates(node) else "", partition)
        if key not in self._images:
            self._images[key] = 0
            tables = self._project.workspace.tables
            with suppress(*UNREADABLE):
                rows = tables.scan(RAW_POOL, partition=partition).filter(is_usable())
                n = rows.select(pl.len()).collect().item()
                if key[0]:
                    source = key[0].partition("/")[2]
                    lost = tables.scan(CAPTIONS_LEFT_OUT, source=source, partition=partition)
                    n -= lost.select(pl.len()).collect().item()
                self._images[key] = n
        return self._images[key]


def _beginning(batch: Batch, n: int) -> Batch:
    share = n / len(batch.partitions)
    return replace(batch, partitions=batch.partitions[:n], seconds=batch.seconds * share)


def _or_endless(bound: float | None) -> float:
    return float("inf") if bound is None else bound
