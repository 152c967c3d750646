"""The actors that compute one asset: as many as there is work for, within a bound."""

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from recap_assets.defs.remote.settings import RemoteSettings
from recap_assets.defs.remote.worker import Worker
from recap_assets.untrusted.errors import RecapError

if TYPE_CHECKING:
    from ray import ObjectRef

NAMESPACE = "recap"
MOST_FAILED_STARTS = 20
PAUSE_SECONDS = 0.1
WAIT_FOR_ROOM_SECONDS = 10.0
"""How long actors wait for a place before others, which have no work, are asked for theirs."""

_ON_PURPOSE = ("exit_actor", "ray.kill")
"""What Ray says of an actor that another build, or this one, let go."""


class WorkersLostError(RecapError, RuntimeError):
    """Workers do not start, what they compute ends them, or their cluster is gone."""


@dataclass(eq=False)
class Member:
    """An actor.

    Attributes:
        name: Its name in the cluster: whoever asks for it by that finds its model loaded.
        actor: Its handle.
        node: Id of the node that it runs on, once it has answered.
    """

    name: str
    actor: Any
    node: str = ""


class Crew:
    """Actors by name, found where another build left them and made where there are none.

    Args:
        settings: Where the cluster is, and how many there may be.
        name: Of the experiment and the asset.
        n_gpus: GPUs of each; None: all of one node.
    """

    def __init__(self, settings: RemoteSettings, name: str, n_gpus: int | None) -> None:
        import ray  # noqa: PLC0415 - an optional extra

        self._ray = ray
        self._settings = settings
        self._name = name
        self._n_gpus = _of_a_node(ray.nodes()) if n_gpus is None else n_gpus
        self._starting: dict[ObjectRef[str], Member] = {}
        self._members: dict[str, Member] = {}
        self._n_failed = 0
        self._waits_since = time.monotonic()
        self.idle: list[Member] = []

    @property
    def starting(self) -> "list[ObjectRef[str]]":
        """What is answered when an actor is there."""
        return list(self._starting)

    def grow(self, n: int) -> None:
        """Have actors for `n` shards, within the bound; a cluster may grow by what waits."""
        wanted = min(n, self._settings.most)
        for slot in count():
            if len(self._members) >= wanted:
                return
            name = f"{self._name}/{slot}"
            if name not in self._members:
                self._start(name)

    def muster(self) -> None:
        """Ask those that rest whether they are still there; an idle one may have ended."""
        self._waits_since = time.monotonic()
        while self.idle:
            self.expect(self.idle.pop())
        self.adopt()

    def adopt(self) -> None:
        """Take in those that others left, by whichever number.

        A build that was killed leaves actors with high numbers as soon as it lost some with low
        ones. They hold the GPUs that those of the lowest numbers would wait for.
        """
        prefix = f"{self._name}/"
        for name in self._ray.util.list_named_actors():
            if name.startswith(prefix) and name not in self._members:
                with suppress(ValueError):  # it has just ended
                    self._join(name, self._ray.get_actor(name, namespace=NAMESPACE))

    def seek_room(self) -> None:
        """Ask actors of other assets that have no work to end, where some of ours find no place.

        Another run may have left them, with their model, on all GPUs of the cluster.
        """
        waited = time.monotonic() - self._waits_since
        if self._has_unplaced() and waited >= WAIT_FOR_ROOM_SECONDS and not self._has_room():
            ask_for_room(besides=f"{self._name}/")
            self._waits_since = time.monotonic()

    def _has_unplaced(self) -> bool:
        return any(not member.node for member in self._starting.values())

    def _has_room(self) -> bool:
        free = self._ray.available_resources()
        return free.get("CPU", 0) >= 1 and free.get("GPU", 0) >= self._gpus_of_each()

    def expect(self, member: Member) -> None:
        """Take an actor for idle as soon as it answers."""
        self._starting[member.actor.renew.remote()] = member

    def answered(self, ref: "ObjectRef[str]") -> None:
        """An actor has started, or will not.

        Raises:
            WorkersLostError: None has started in many tries.
        """
        from ray.exceptions import RayActorError  # noqa: PLC0415 - an optional extra

        member = self._starting.pop(ref)
        try:
            member.node = self._ray.get(ref)
        except RayActorError as error:
            self.lost(member)
            self._n_failed += not member.node and not was_let_go(str(error))
            # Whoever has just died has its name for a moment.
            time.sleep(PAUSE_SECONDS)
            if self._n_failed == MOST_FAILED_STARTS:
                why = str(error).strip().splitlines()[-1]
                msg = f"{self._n_failed} workers of {self._name} ended when they started: {why}"
                raise WorkersLostError(msg) from error
        else:
            self._n_failed = 0
            self._waits_since = time.monotonic()
            self.idle.append(member)

    def lost(self, member: Member) -> None:
        """An actor is dead."""
        self._members.pop(member.name, None)
        if member in self.idle:
            self.idle.remove(member)

    def is_node_alive(self, member: Member) -> bool:
        """Whether the cluster takes the actor's node to be alive."""
        return any(node["Alive"] and node["NodeID"] == member.node for node in self._ray.nodes())

    def rest(self) -> None:
        """Keep those that have started for the next partition; the others are not needed."""
        for member in self._starting.values():
            self._ray.kill(member.actor)
            self._members.pop(member.name, None)
        self._starting.clear()

    def leave(self) -> None:
        """Let all go, after what they were asked before."""
        self.rest()
        for member in self._members.values():
            member.actor.leave.remote()
        self._members.clear()
        self.idle.clear()

    def _start(self, name: str) -> None:
        made = self._ray.remote(Worker).options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=1,
            num_gpus=self._gpus_of_each(),
            max_restarts=0,
            max_task_retries=0,
        )
        self._join(name, made.remote(self._settings.idle_seconds))

    def _gpus_of_each(self) -> int:
        return self._n_gpus if _has_gpus(self._ray.cluster_resources()) else 0

    def _join(self, name: str, actor: object) -> None:
        self._members[name] = Member(name, actor)
        self.expect(self._members[name])


def ask_for_room(besides: str | None = None) -> None:
    """Ask actors to end that had no work for a moment, whichever build or run has left them.

    Args:
        besides: How the names of those begin that are not asked.
    """
    import ray  # noqa: PLC0415 - an optional extra

    for name in ray.util.list_named_actors():
        if besides is None or not name.startswith(besides):
            # It has just ended, or is of a release that knows no such request.
            with suppress(ValueError, AttributeError):
                ray.get_actor(name, namespace=NAMESPACE).make_room.remote()


def was_let_go(why: str) -> bool:
    """Whether an actor ended because it was asked to, by what Ray says of its death."""
    return any(words in why for words in _ON_PURPOSE)


def _has_gpus(resources: Mapping[str, float]) -> bool:
    return resources.get("GPU", 0) > 0


def _of_a_node(nodes: list[dict[str, Any]]) -> int:
    return max((math.floor(node["Resources"].get("GPU", 0)) for node in nodes), default=0)
