"""Waiting for what another thread or process does, however slow the machine is."""

import time
from collections.abc import Callable

SECONDS = 300.0
"""A deadline, which only a test that fails comes to."""
PAUSE = 0.01


def wait_for(
    holds: Callable[[], object], what: str, seconds: float = SECONDS, pause: float = PAUSE
) -> None:
    """Wait until something holds, asked again after each pause.

    Raises:
        TimeoutError: It did not within so many seconds.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            msg = f"not within {seconds} s: {what}"
            raise TimeoutError(msg)
        time.sleep(pause)
