"""How the worker processes of a build are started, some before the build itself is imported.

What is imported here is imported by every worker first, so it is little.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import TYPE_CHECKING

from recap_assets.defs.garbage import collect_seldom

if TYPE_CHECKING:
    from recap_assets.defs.executing import News

EARLY = 2
"""Workers that start before it is known what is to be done: as many as a build has by default."""


class WorkerProcesses:
    """Makes the worker processes of a build, each of them a pool of one."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._early: list[tuple[ProcessPoolExecutor, list[BaseProcess]]] = []

    @cached_property
    def progress(self) -> "Queue[News]":
        """Where workers tell how far they are."""
        return self._context.Queue()

    def start(self, n: int) -> None:
        """Have up to `n` processes begin with their imports, which takes each of them a second."""
        for _ in range(min(n, EARLY)):
            pool, before = self._new(), set(multiprocessing.active_children())
            with deaf_to_interrupts():
                pool.submit(os.getpid)
            begun = [one for one in multiprocessing.active_children() if one not in before]
            self._early.append((pool, begun))

    def make(self) -> ProcessPoolExecutor:
        """The process of a worker, which begins with its first work where it has not begun yet."""
        return self._early.pop(0)[0] if self._early else self._new()

    def end(self) -> None:
        """End those that began and became no workers: at once, since they only import."""
        for pool, begun in self._early:
            for process in begun:
                process.kill()
            pool.shutdown(cancel_futures=True)
        self._early.clear()

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1, mp_context=self._context, initializer=start_worker, initargs=(self.progress,)
        )


def start_worker(progress: "Queue[News]") -> None:
    """Become a worker that tells here how far it is."""
    collect_seldom()
    from recap_assets.defs.executing import prepare  # noqa: PLC0415 - looked through seldom now

    prepare(progress)


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """A process that is started meanwhile is deaf to SIGINT from its first moment, in all threads.

    A Ctrl-C goes to all processes of a terminal; what becomes of the workers, the driver says. A
    worker that blocks it later blocks it in one thread alone, and libraries have begun others.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
