"""Images decoded side by side, in their order: decoders let go of Python's lock."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

SHARE = 2
"""A build has two workers by default, each with a reader of its own."""

AHEAD = 2
"""Results that each thread may have in store, which bounds the memory: 32 images of at most 12 MB
where there are 16 threads."""


def decoding_threads() -> int:
    """Threads of one reader: its share of the cores, at least one."""
    return max(1, (os.cpu_count() or 1) // SHARE)


class SideBySide:
    """Calls a function for many things in threads and gives the results in order.

    One thread is none: the caller computes.

    Args:
        n_threads: At least 1.
    """

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._pool = ThreadPoolExecutor(n_threads, "recap-decode") if n_threads > 1 else None

    def map(self, function: Callable[[T], R], things: Iterable[T]) -> Iterator[R]:
        """The result for each thing; at most `AHEAD` per thread are computed before they are taken.

        An exception of the function is raised in the place of its result.
        """
        if self._pool is None:
            yield from map(function, things)
            return
        under_way: deque[Future[R]] = deque()
        for thing in things:
            under_way.append(self._pool.submit(function, thing))
            if len(under_way) >= self._n_threads * AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()

    def close(self) -> None:
        """End the threads; what has not begun is dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
