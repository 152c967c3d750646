"""Sending to a tracker from a thread of its own: no training waits for it or fails by it."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue

from recap_assets.tracking.kind import OpenRun, Status
from recap_assets.untrusted.secrets import redacted
from recap_assets.untrusted.showing import one_line

_log = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 3
"""After so many a tracker is taken for lost, and the rest of the run is only counted."""

CLOSE_SECONDS = 60.0
"""How long the end of a run waits for what is still to be sent."""

ABORT_SECONDS = 1.0
"""The same where the run failed or was interrupted: whoever pressed Ctrl-C is not kept waiting."""

Action = Callable[[OpenRun], None]

_warned: set[str] = set()


class Sender:
    """Sends one run's figures, in their order.

    Args:
        open_run: Opens the run; called in the thread.
        what: What is tracked where, for the warning.
    """

    def __init__(self, open_run: Callable[[], OpenRun], what: str) -> None:
        self._open_run, self._what = open_run, what
        self._queue: SimpleQueue[Action | None] = SimpleQueue()
        self._run: OpenRun | None = None
        self._n_asked = self._n_sent = self._in_a_row = 0
        # A daemon: a server that never answers must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def send(self, action: Action, sent: Callable[[], None] | None = None) -> None:
        """Have something sent soon; `sent` is called in the thread once it was."""
        self._n_asked += 1
        self._queue.put(partial(_and_then, action, sent) if sent else action)

    def close(self, status: Status) -> None:
        """End the run, and wait a while for what is still to be sent."""
        self.send(lambda run: run.close(status))
        self._queue.put(None)
        within = CLOSE_SECONDS if status == "finished" else ABORT_SECONDS
        self._thread.join(within)
        if self._thread.is_alive() and status == "finished":
            self._warn(TimeoutError(f"no answer within {within:.0f} seconds"))

    @property
    def facts(self) -> Mapping[str, int]:
        """What was not sent, for the materialization; nothing where all was."""
        n_failed = self._n_asked - self._n_sent
        return {"tracking_failures": n_failed} if n_failed else {}

    def _work(self) -> None:
        while (action := self._queue.get()) is not None:
            if self._in_a_row < FAILURES_IN_A_ROW:
                self._try(action)

    def _try(self, action: Action) -> None:
        try:
            self._run = self._run or self._open_run()
            action(self._run)
        except Exception as error:
            self._in_a_row += 1
            self._warn(error)
        else:
            self._in_a_row = 0
            self._n_sent += 1

    def _warn(self, error: Exception) -> None:
        # Every mix and seed meets the same server: it is said once.
        if self._what not in _warned:
            _warned.add(self._what)
            reason = one_line(redacted(str(error) or type(error).__name__), 300)
            _log.warning(
                "%s failed: %s. The build continues without it; `tracking_failures` counts what "
                "was not sent, and `recap doctor` checks it.",
                redacted(self._what),
                reason,
            )


def _and_then(action: Action, sent: Callable[[], None], run: OpenRun) -> None:
    action(run)
    sent()


def now_ms() -> int:
    """The time in milliseconds since 1970, as trackers count it."""
    return time.time_ns() // 1_000_000
