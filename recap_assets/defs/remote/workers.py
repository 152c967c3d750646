"""Partitions computed by actors of a Ray cluster; this process plans, and writes what they give."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.defs.remote.address import Address, Answer, address_of
from recap_assets.defs.remote.crew import Crew, Member, WorkersLostError, was_let_go
from recap_assets.defs.remote.settings import RemoteSettings
from recap_assets.defs.remote.training import RayNodes
from recap_assets.graph.budget import OutOfBudgetError
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Node, Outcome, Rows, Step
from recap_assets.graph.parts import StoredParts
from recap_assets.graph.project import Project
from recap_assets.graph.reuse import taken_for
from recap_assets.graph.workers import HERE
from recap_assets.specs.requirements import pip_install
from recap_assets.untrusted.errors import RecapError

MOST_KILLS = 2
"""Workers that one shard may end before it is left aside."""

POLL_SECONDS = 1.0
WAIT_SECONDS = 30


class RefusedError(RecapError, RuntimeError):
    """A worker says what a person can fix."""


class MayPassError(RefusedError):
    """The same may go well when it is tried again."""

    may_pass = True


class RayWorkers:
    """Models compute on actors; all else, and all writing, is done by this process.

    An actor computes a shard and writes its part beside the tables. When all parts are there, an
    actor puts the partition together, and this process commits it.

    Args:
        project: The experiment in its workspace, which all nodes reach by the same paths.
        settings: Where the cluster is.

    Raises:
        RefusedError: Ray is not installed.
    """

    def __init__(self, project: Project, settings: RemoteSettings) -> None:
        self._project, self._settings = project, settings
        self._crews: dict[str, Crew] = {}

    def takes(self, node: Node) -> bool:
        """Those of models: on a GPU, by pool partitions, written to tables; and trainings."""
        return self._is_spread(node) or self._is_of_shards(node)

    def _is_spread(self, node: Node) -> bool:
        return node.spreads and self._settings.training_nodes > 0

    def _is_of_shards(self, node: Node) -> bool:
        by_model = node.pool == "gpu" and node.dimension == "pool"
        return by_model and isinstance(node.content, StoredRows)

    def compute(self, node: Node, step: Step) -> Rows | Outcome:
        """What the node gives of the partition.

        Raises:
            WorkersLostError: Shards that end their workers are named; all others are kept.
            RefusedError: As the node's computation on a worker.
        """
        if not self.takes(node) or not step.fingerprint:
            return HERE.compute(node, step)
        connect(self._settings)
        with _cluster_named(self._settings.address):
            if self._is_spread(node):
                return self._spread(node, step)
            return self._computed(node, step)

    def _spread(self, node: Node, step: Step) -> Rows | Outcome:
        # Models that wait for work hold the nodes that a training needs whole.
        self.leave()
        nodes = RayNodes(self._settings.training_nodes, step.waits)
        return node.compute(replace(step, machines=nodes))

    def _computed(self, node: Node, step: Step) -> Rows:
        crew = self._crew_of(node)
        whole = address_of(self._project, node, step)
        parts = StoredParts.of(self._project.workspace.tables.root, node.key, step.fingerprint)
        before = parts.kept() if node.by_shard else ()
        if node.by_shard:
            self._compute_shards(crew, whole, parts, step)
        resumed = _taken_for(parts, before)
        (answer,) = _Round(crew, [whole], step, _nothing).run().values()
        crew.rest()
        step.once_written.append(parts.clear)
        if answer.rows is None:
            raise RefusedError(answer.refused or f"{whole.name}: a worker gave no rows")
        # Parts that other workers made meanwhile are in the time that this takes already.
        step.reuse.account = replace(answer.took, resumed=resumed)
        return answer.rows

    def _compute_shards(self, crew: Crew, whole: Address, parts: StoredParts, step: Step) -> None:
        there = parts.shards()
        numbers = [shard.number for shard in whole.shards]
        waiting = [replace(whole, shard=n) for n in numbers if n not in there]
        n_images = {} if step.meter.left.is_endless else self._images_by_shard(step.partition)
        while waiting:
            share = _affordable(step, waiting, n_images)
            n_before, started = len(numbers) - len(waiting), time.monotonic()
            answers = _Round(
                crew, share, step, lambda done, n=n_before: step.progress((n + done) / len(numbers))
            ).run()
            _count(step, answers, n_images, time.monotonic() - started)
            waiting = waiting[len(share) :]

    def _images_by_shard(self, partition: str) -> Mapping[int, int]:
        """How many images each shard has that can be used."""
        rows = self._project.workspace.tables.scan(RAW_POOL, partition=partition)
        counts = rows.filter(is_usable()).group_by("shard").len().collect()
        return dict(counts.iter_rows())

    def leave(self) -> None:
        """Let the actors go; by default they stay until they were idle for a while."""
        for crew in self._crews.values():
            crew.leave()
        self._crews = {}

    def _crew_of(self, node: Node) -> Crew:
        if node.key not in self._crews:
            # What other models hold is given back, so that this one finds room.
            self.leave()
            # Actors of other code, or of other settings under the same name, are not asked.
            name = f"{self._project.experiment.name}/{node.key}/{node.code_version}"
            self._crews = {node.key: Crew(self._settings, name, node.gpus)}
        return self._crews[node.key]


def _nothing(_done: int) -> None:
    pass


def _affordable(
    step: Step, waiting: Sequence[Address], n_images: Mapping[int, int]
) -> Sequence[Address]:
    """The first of some shards: those that fit into the budget, whatever of them can be reused.

    Where not even one does, it goes by itself, with a meter that stops it where its rows are known.
    """
    n, share = 0, list[Address]()
    with suppress(OutOfBudgetError):
        for address in waiting:
            n += n_images.get(address.shard or 0, 0)
            step.meter.before(step.asset, n)
            share.append(address)
    meter = step.meter
    left = meter.left.without(meter.spent)
    return share or [replace(waiting[0], budget=left, rate=meter.rate_of(step.asset))]


def _count(
    step: Step, answers: Mapping[Address, Answer], n_images: Mapping[int, int], seconds: float
) -> None:
    """Count in the meter what computing some shards took."""
    made = Counter[str]()
    for answer in answers.values():
        made.update(answer.made)
    n = sum(n_images.get(address.shard or 0, 0) for address in answers)
    n_captions = sum(answer.n_captions for answer in answers.values())
    step.meter.after(step.asset, n, seconds, made, n_captions)


def _taken_for(parts: StoredParts, names: Iterable[str]) -> Counter[str]:
    """What some parts took when they were made."""
    took = Counter[str]()
    for name in names:
        if (part := parts.read(name)) is not None:
            took.update(taken_for(part))
    return took


def connect(settings: RemoteSettings) -> None:
    """Connect this process with the cluster; once.

    Raises:
        RefusedError: Ray is not installed, or there is no cluster.
    """
    try:
        import ray  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        msg = f"workers of a Ray cluster need the extra ray: {pip_install('recap-assets[ray]')}"
        raise RefusedError(msg) from error
    from recap_assets.defs.remote.crew import NAMESPACE  # noqa: PLC0415 - beside ray

    if ray.is_initialized():
        return
    try:
        ray.init(
            settings.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        msg = f"there is no Ray cluster at {settings.address}: {first}"
        raise RefusedError(msg) from error


@contextmanager
def _cluster_named(address: str) -> Iterator[None]:
    """Say which cluster was lost, where it was."""
    from ray.exceptions import RaySystemError, RpcError  # noqa: PLC0415 - an optional extra

    try:
        yield
    except (RaySystemError, RpcError, ConnectionError) as error:
        first = str(error).strip().partition("\n")[0]
        msg = (
            f"the Ray cluster at {address} was lost ({first}); what was finished is kept: run again"
        )
        raise WorkersLostError(msg) from error


class _Round:
    """Some addresses, each computed once; a worker that is lost is replaced."""

    def __init__(
        self,
        crew: Crew,
        addresses: Sequence[Address],
        step: Step,
        on_done: Callable[[int], None],
    ) -> None:
        import ray  # noqa: PLC0415 - an optional extra

        self._ray, self._crew, self._step, self._on_done = ray, crew, step, on_done
        self._waiting = deque(addresses)
        self._running: dict[Any, tuple[Member, Address]] = {}
        self._kills: Counter[Address] = Counter()
        self._answers: dict[Address, Answer] = {}
        self._aside: list[Address] = []
        self._idle_polls = 0

    def run(self) -> dict[Address, Answer]:
        """The answers.

        Raises:
            RefusedError: A worker says what a person can fix.
            WorkersLostError: Some addresses end their workers.
        """
        self._crew.muster()
        try:
            self._run()
        finally:
            for member, _ in self._running.values():
                self._crew.expect(member)
        if self._aside:
            raise WorkersLostError(_lost(self._aside))
        return self._answers

    def _run(self) -> None:
        while self._waiting or self._running:
            self._crew.grow(len(self._waiting) + len(self._running))
            self._assign()
            refs = [*self._running, *self._crew.starting]
            ready, _ = self._ray.wait(refs, num_returns=1, timeout=POLL_SECONDS)
            self._crew.seek_room()
            self._report_idleness(ready)
            for ref in ready:
                if ref in self._running:
                    self._finish(ref)
                else:
                    self._crew.answered(ref)

    def _assign(self) -> None:
        while self._waiting and self._crew.idle:
            member, address = self._crew.idle.pop(0), self._waiting.popleft()
            self._running[member.actor.compute.remote(address)] = (member, address)

    def _finish(self, ref: object) -> None:
        from ray.exceptions import RayActorError  # noqa: PLC0415 - an optional extra

        member, address = self._running.pop(ref)
        try:
            answer: Answer = self._ray.get(ref)
        except RayActorError as error:
            self._lose(member, address, str(error))
            return
        self._crew.idle.append(member)
        if answer.refused is not None:
            raise (MayPassError if answer.may_pass else RefusedError)(answer.refused)
        self._answers[address] = answer
        self._on_done(len(self._answers))

    def _lose(self, member: Member, address: Address, why: str) -> None:
        self._crew.lost(member)
        # A node that is lost, or an actor that was let go, says nothing of what it was given.
        if not was_let_go(why) and self._crew.is_node_alive(member):
            self._kills[address] += 1
        if self._kills[address] >= MOST_KILLS:
            self._aside.append(address)
        else:
            self._waiting.append(address)

    def _report_idleness(self, ready: Sequence[object]) -> None:
        nothing_runs = not ready and not self._running
        self._idle_polls = self._idle_polls + 1 if nothing_runs else 0
        if nothing_runs:
            # Another build may have ended meanwhile, and left actors that hold what is waited for.
            self._crew.adopt()
        if self._idle_polls == WAIT_SECONDS:
            resources = ", ".join(
                f"{name} {n:g}"
                for name, n in sorted(self._ray.available_resources().items())
                if name in ("CPU", "GPU")
            )
            self._step.waits(f"no worker has started; the cluster has free: {resources or 'none'}")


def _lost(aside: Sequence[Address]) -> str:
    names = ", ".join(address.name for address in aside[:5])
    more = f" and {len(aside) - 5} more" if len(aside) > 5 else ""
    return (
        f"{names}{more}: each ended {MOST_KILLS} workers (out of memory, or a crash of native "
        "code). All other shards of the partition are kept: see the workers' logs, and run again"
    )
