"""What runs in an actor: one model, kept between shards, partitions and builds."""

import os
import threading
import time

from recap_assets.defs.remote.address import Address, Answer, answered
from recap_assets.untrusted.errors import RecapError

CHECKS = 20
"""How often an idle worker looks at its clock in the time that it may be idle."""

IDLE_FOR_ROOM_SECONDS = 5.0
"""How long a worker was without work before it ends for one that finds no place."""


class Worker:
    """Computes one address after the other, and ends when it has had none for a while.

    Args:
        idle_seconds: How long it waits for work.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._is_busy = False
        self._since = time.monotonic()
        threading.Thread(target=self._leave_when_idle, daemon=True).start()

    def renew(self) -> str:
        """Stay for as long again; the id of the node that it runs on."""
        import ray  # noqa: PLC0415 - an optional extra

        self._since = time.monotonic()
        return ray.get_runtime_context().get_node_id()

    def compute(self, address: Address) -> Answer:
        """What becomes of an address."""
        self._is_busy = True
        try:
            return answered(address)
        except RecapError as error:
            return Answer(refused=str(error), may_pass=error.may_pass)
        finally:
            self._since = time.monotonic()
            self._is_busy = False

    def make_room(self) -> None:
        """End where there was no work for a moment: another asset's worker waits for the place."""
        if time.monotonic() - self._since >= IDLE_FOR_ROOM_SECONDS:
            self.leave()

    def leave(self) -> None:
        """End, after what was asked before."""
        import ray.actor  # noqa: PLC0415 - an optional extra

        ray.actor.exit_actor()

    def _leave_when_idle(self) -> None:
        while self._is_busy or time.monotonic() - self._since < self._idle_seconds:
            time.sleep(self._idle_seconds / CHECKS)
        # An actor may only be ended from within a call of it.
        os._exit(0)
