"""Nodes of a Ray cluster that one training is spread over."""

import math
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from recap_assets.defs.remote.crew import (
    WAIT_FOR_ROOM_SECONDS,
    WorkersLostError,
    ask_for_room,
)
from recap_assets.engines.leashed import lines_of
from recap_assets.graph.machines import Meeting
from recap_assets.untrusted.errors import RecapError

if TYPE_CHECKING:
    from ray.util.placement_group import PlacementGroup

Actor = Any  # A handle, whose methods Ray makes.

POLL_SECONDS = 1.0
WAITS_BEFORE_SAYING = 3


class NoNodesError(RecapError, RuntimeError):
    """The cluster has no node that could train."""


class TrainingLostError(WorkersLostError):
    """A node was lost while it trained; the run goes on from its last checkpoint."""

    may_pass = True


class TrainingNode:
    """An actor on one node: starts the trainer's processes there, which end with it."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._has_ended = False

    def meeting(self, rank: int) -> Meeting:
        """Where the others may meet this node."""
        import ray  # noqa: PLC0415 - an optional extra

        with socket.socket() as listener:
            listener.bind(("", 0))
            return Meeting(rank, ray.util.get_node_ip_address(), listener.getsockname()[1])

    def start(self, words: Sequence[str]) -> None:
        """Start Python in the background."""
        # Signals of the trainer's leash follow the thread that started it, so that one stays.
        threading.Thread(target=self._read, args=(words,), daemon=True).start()

    def news(self) -> tuple[list[str], bool]:
        """What was printed since; whether it has ended."""
        lines: list[str] = []
        while not self._has_ended and (len(lines) == 0 or not self._lines.empty()):
            try:
                line = self._lines.get(timeout=POLL_SECONDS)
            except queue.Empty:
                break
            self._has_ended = line is None
            lines += [] if line is None else [line]
        return lines, self._has_ended

    def _read(self, words: Sequence[str]) -> None:
        try:
            for line in lines_of(words):
                self._lines.put(line)
        finally:
            self._lines.put(None)


class RayNodes:
    """Some nodes of the cluster to which this process is connected, each held as a whole.

    Args:
        n: How many; a cluster that grows is waited for.
        waits: Called with the reason where there is none to be had yet.

    Raises:
        NoNodesError: No node has a processor to give.
    """

    def __init__(self, n: int, waits: Callable[[str], None]) -> None:
        import ray  # noqa: PLC0415 - an optional extra

        self._ray, self._waits = ray, waits
        self.n = n
        alike = _largest([node["Resources"] for node in ray.nodes() if node["Alive"]], n)
        self.n_gpus = min(math.floor(one.get("GPU", 0)) for one in alike)
        self.n_cores = min(math.floor(one["CPU"]) for one in alike)

    def lines(self, words_of: Callable[[Meeting], Sequence[str]]) -> Iterator[str]:
        """Start Python on each node, and give what all of them print until one has ended.

        Args:
            words_of: What Python is given on a node.

        Raises:
            TrainingLostError: A node was lost.
        """
        from ray.exceptions import RayActorError  # noqa: PLC0415 - an optional extra

        with self._held() as actors:
            try:
                first: Meeting = self._ray.get(actors[0].meeting.remote(0))
                meetings = [Meeting(rank, first.host, first.port) for rank in range(self.n)]
                words = [words_of(meeting) for meeting in meetings]
                pairs = zip(actors, words, strict=True)
                self._ray.get([actor.start.remote(given) for actor, given in pairs])
                yield from self._printed(actors)
            except RayActorError as error:
                why = str(error).strip().splitlines()[-1]
                msg = (
                    f"one of the {self.n} nodes that trained was lost ({why}); the training goes "
                    "on from its last checkpoint: run again"
                )
                raise TrainingLostError(msg) from error

    def _printed(self, actors: Sequence[Actor]) -> Iterator[str]:
        ended = False
        while not ended:
            news = self._ray.get([actor.news.remote() for actor in actors])
            for lines, _ in news:
                yield from lines
            # Where one ends early the others would wait for it: whoever reads the lines sees why.
            ended = any(has_ended for _, has_ended in news)
        # Those that end well end within moments of each other.
        for lines, _ in self._ray.get([actor.news.remote() for actor in actors]):
            yield from lines

    @contextmanager
    def _held(self) -> Iterator[list[Actor]]:
        from ray.util import placement_group, remove_placement_group  # noqa: PLC0415 - extra

        share: dict[str, float] = {"CPU": self.n_cores}
        if self.n_gpus:
            share["GPU"] = self.n_gpus
        group = placement_group([share] * self.n, strategy="STRICT_SPREAD")
        try:
            self._wait_for(group)
            actors = [self._actor(group, number, share) for number in range(self.n)]
            try:
                yield actors
            finally:
                for actor in actors:
                    self._ray.kill(actor)
        finally:
            remove_placement_group(group)

    def _wait_for(self, group: "PlacementGroup") -> None:
        for n_waits in count(1):
            if group.wait(WAIT_FOR_ROOM_SECONDS):
                return
            # Models that other runs have left without work hold nodes that are wanted whole.
            ask_for_room()
            if n_waits == WAITS_BEFORE_SAYING:
                each = f"{self.n_cores} CPU, {self.n_gpus} GPU"
                self._waits(f"the training waits for {self.n} free nodes with {each} each")

    def _actor(self, group: "PlacementGroup", number: int, share: Mapping[str, float]) -> Actor:
        from ray.util.scheduling_strategies import (  # noqa: PLC0415 - an optional extra
            PlacementGroupSchedulingStrategy,
        )

        there = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=number)
        made = self._ray.remote(TrainingNode).options(
            num_cpus=share["CPU"],
            num_gpus=share.get("GPU", 0),
            scheduling_strategy=there,
            max_restarts=0,
        )
        return made.remote()


def _largest(nodes: Sequence[Mapping[str, float]], n: int) -> Sequence[Mapping[str, float]]:
    """The `n` nodes with the most GPUs, or cores where there are none."""
    able = [node for node in nodes if node.get("CPU", 0) >= 1]
    if not able:
        msg = "a training is to be spread over a cluster that has no node with a processor"
        raise NoNodesError(msg)
    able.sort(key=lambda node: (node.get("GPU", 0), node["CPU"]), reverse=True)
    return able[:n]
