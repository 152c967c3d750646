"""Bringing everything that is out of date up to date, through Dagster runs in worker processes.

A run in a process of its own costs seconds to start and to import the model libraries, most of the
time of a small experiment. Here a few processes stay, and each executes one Dagster run after the
other; the runs, their events and their failures are in the instance like any others.
"""

import multiprocessing
import os
import queue
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.queues import Queue

import dagster as dg

from recap_assets.defs.assets import asset_key, assets_of, progress_listener
from recap_assets.defs.events import DagsterRecords
from recap_assets.defs.ranges import neighbours, range_tags
from recap_assets.defs.session import Session
from recap_assets.orchestration.graph import Graph, Node
from recap_assets.orchestration.planner import Plan, plan

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Batch:
    """Partitions of one asset that one run builds, neighbours in the asset's order."""

    node: Node
    partitions: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """What it is expected to take."""
        return self.node.seconds * len(self.partitions)


@dataclass(frozen=True)
class Finished:
    """A batch that ran, and how it ended."""

    batch: Batch
    seconds: float
    error: str | None


@dataclass
class State:
    """Where a build is, for whoever shows it."""

    finished_seconds: float = 0.0
    left_seconds: float = 0.0
    running: dict[str, float] = field(default_factory=dict)
    running_seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)
    n_done: int = 0

    @property
    def share(self) -> float:
        """Done part of the whole, by expected seconds, between 0 and 1."""
        total = self.finished_seconds + self.left_seconds
        return min((self.finished_seconds + self.running_seconds) / total, 1.0) if total else 1.0


class Build:
    """One build: `events` runs it and yields its state whenever something happened."""

    def __init__(self, session: Session, jobs: int, only: Sequence[str] = ()) -> None:
        self.session = session
        self.jobs = jobs
        self.only = frozenset(only)
        self.state = State()
        self._instance = session.open_instance()
        self._records = DagsterRecords(self._instance)
        self._running: dict[Future[str | None], tuple[Batch, float]] = {}

    def plan(self) -> Plan:
        """What is out of date now."""
        everything = plan(self.session.graph, self._records)
        if not self.only:
            return everything
        return Plan(tuple(entry for entry in everything.entries if entry.asset in self.only))

    def events(self) -> Iterator[State | Finished]:
        """Build until nothing is ready any more."""
        self.session.create_tables()
        context = multiprocessing.get_context("spawn")
        progress: Queue[tuple[str, str, float]] = context.Queue()
        with ProcessPoolExecutor(
            self.jobs, mp_context=context, initializer=_start_worker, initargs=(progress, self.jobs)
        ) as workers:
            try:
                yield from self._loop(workers, progress)
            except BrokenProcessPool:
                yield Finished(Batch(next(iter(self.session.graph.nodes.values())), ()), 0.0, _DIED)

    def _loop(
        self, workers: ProcessPoolExecutor, progress: "Queue[tuple[str, str, float]]"
    ) -> Iterator[State | Finished]:
        current = self.plan()
        self._expect(current)
        while True:
            for batch in self._next_batches(current):
                future = workers.submit(_run, batch.node.key, batch.partitions)
                self._running[future] = (batch, time.monotonic())
            if not self._running:
                return
            done, _ = wait(self._running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            self._listen(progress)
            for future in done:
                yield self._finish(future)
            if done:
                current = self.plan()
                self._expect(current)
            yield self.state

    def _finish(self, future: Future[str | None]) -> Finished:
        batch, started = self._running.pop(future)
        error = future.result()
        for partition in batch.partitions:
            self.state.running.pop(f"{batch.node.key}[{partition}]", None)
            if error:
                self.state.failed[f"{batch.node.key}[{partition}]"] = error
        self.state.finished_seconds += batch.seconds
        self.state.n_done += len(batch.partitions)
        return Finished(batch, time.monotonic() - started, error)

    def _listen(self, progress: "Queue[tuple[str, str, float]]") -> None:
        while True:
            try:
                asset, partition, done = progress.get_nowait()
            except queue.Empty:
                break
            self.state.running[f"{asset}[{partition}]"] = done
        self.state.running_seconds = sum(
            batch.node.seconds * self.state.running.get(f"{batch.node.key}[{partition}]", 0.0)
            for batch, _ in self._running.values()
            for partition in batch.partitions
        )

    def _expect(self, current: Plan) -> None:
        nodes = self.session.graph.nodes
        self.state.left_seconds = sum(nodes[entry.asset].seconds for entry in current.entries)

    def _next_batches(self, current: Plan) -> list[Batch]:
        free = self.jobs - len(self._running)
        if free <= 0:
            return []
        busy = {
            (batch.node.key, partition)
            for batch, _ in self._running.values()
            for partition in batch.partitions
        }
        ready: dict[str, list[str]] = {}
        for entry in current.ready:
            name = f"{entry.asset}[{entry.partition}]"
            if (entry.asset, entry.partition) not in busy and name not in self.state.failed:
                ready.setdefault(entry.asset, []).append(entry.partition)
        batches = [
            batch
            for asset, partitions in ready.items()
            for batch in _batches(self.session.graph, asset, partitions, self.jobs)
        ]
        after = _seconds_after(self.session.graph)
        # What most work waits for goes first.
        batches.sort(key=lambda batch: -(batch.seconds + after[batch.node.key]))
        return batches[:free]


_DIED = (
    "a worker process died (out of memory, or killed); what it had finished is kept: run again, "
    "with fewer --jobs if memory was short"
)


def _batches(graph: Graph, asset: str, partitions: Sequence[str], jobs: int) -> Iterator[Batch]:
    node = graph.nodes[asset]
    order = graph.partitions(node)
    most = max(1, -(-len(order) // jobs)) if node.dimension == "pool" else 1
    for group in neighbours(order, partitions, most):
        yield Batch(node, group)


def _seconds_after(graph: Graph) -> dict[str, float]:
    # The longest chain of expected seconds that waits for a node.
    after = dict.fromkeys(graph.nodes, 0.0)
    for node in reversed(list(graph.nodes.values())):
        chain = after[node.key] + node.seconds * (
            len(graph.partitions(node)) if node.dimension == "pool" else 1
        )
        for dependency in node.dependencies:
            after[dependency.asset] = max(after[dependency.asset], chain)
    return after


_worker: dict[str, object] = {}


def _start_worker(progress: "Queue[tuple[str, str, float]]", jobs: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))
    session = Session.from_environment()
    definitions = dg.Definitions(assets=assets_of(session.graph))
    _worker["job"] = definitions.resolve_implicit_global_asset_job_def()
    _worker["instance"] = session.open_instance()
    _worker["session"] = session
    progress_listener.set(lambda *news: progress.put(news))


def _run(asset: str, partitions: tuple[str, ...]) -> str | None:
    """Execute one run; the error's text where it fails."""
    try:
        _worker["job"].execute_in_process(  # type: ignore[attr-defined]
            instance=_worker["instance"],
            asset_selection=[asset_key(asset)],
            tags={"recap/door": "recap build", **range_tags(partitions)},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    except Exception as error:
        return _in_words(error)
    return None


def _in_words(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"
