"""The worker processes of a build: some for the CPU, and one for each GPU, or group of GPUs.

A process that has computed on a GPU holds memory of it to its end. So a GPU has one worker, which
keeps its model for the partitions that follow, and ends where others of the machine wait.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field

from recap_assets.defs.build_state import Ran
from recap_assets.graph.batches import Batch
from recap_assets.storage.leases import Leases

WAKE_SECONDS = 0.5
"""How long a Ctrl-C waits at most."""

MakePool = Callable[[], ProcessPoolExecutor]
"""Makes a pool of one process."""


@dataclass(eq=False)
class Seat:
    """A worker process.

    Attributes:
        n_gpus: GPUs that it holds, or will hold.
        pool: Its process.
        busy: Whether it is at work.
        assets: What it built last.
    """

    n_gpus: int
    pool: ProcessPoolExecutor
    busy: bool = False
    assets: frozenset[str] = field(default_factory=frozenset)


class Seats:
    """Places of worker processes; one on GPUs is started when there is work for it.

    Args:
        jobs: Workers without a GPU, at most.
        n_gpus: GPUs that may be used. Where there are none, the others do all the work.
        make: Makes the process of a worker.
        leases: Of the machine's GPUs.
    """

    def __init__(
        self, jobs: int, n_gpus: int, make: MakePool, leases: Leases | None = None
    ) -> None:
        self.jobs, self.n_gpus = jobs, n_gpus
        self._make = make
        self._leases = leases or Leases.of_this_machine()
        self._all: list[Seat] = []

    def start(self, n: int, opens: Callable[[], object]) -> None:
        """Have up to `n` workers without a GPU begin to start, for work that others must precede.

        What goes wrong in `opens` is not heard of here: the first batch meets it again.
        """
        for _ in range(min(n, self.jobs)):
            # One that has died already is made anew for its first batch.
            with suppress(BrokenProcessPool):
                self._new(0).pool.submit(opens)

    def place(self, batch: Batch) -> Seat | None:
        """A worker for a batch: one that has its model, or a new one, or any; None where all work.

        Workers that hold another number of GPUs, and are idle, end if that makes room.
        """
        idle = [seat for seat in self._all if not seat.busy and seat.n_gpus == batch.n_gpus]
        keys = {node.key for node in batch.nodes}
        if warm := [seat for seat in idle if seat.assets & keys]:
            return warm[0]
        if self._has_room(batch.n_gpus):
            return self._new(batch.n_gpus)
        if idle:
            return idle[0]
        return self._new(batch.n_gpus) if self._make_room(batch.n_gpus) else None

    def submit(self, seat: Seat, batch: Batch, work: Callable[..., Ran]) -> "Future[Ran]":
        """Give a worker its batch; it gets the assets and the partitions."""
        assets = [node.key for node in batch.nodes]
        seat.assets = frozenset(assets)
        try:
            future = seat.pool.submit(work, assets, batch.partitions)
        except BrokenProcessPool:
            # It died while it had nothing to do.
            seat.pool = self._make()
            future = seat.pool.submit(work, assets, batch.partitions)
        seat.busy = True
        return future

    def leave(self, seat: Seat, *, died: bool) -> None:
        """A worker has finished its batch, or died at it."""
        seat.busy = False
        if died:
            self._end(seat)

    def give_way(self) -> None:
        """End idle workers on GPUs where another process of the machine waits for one."""
        idle = [seat for seat in self._all if seat.n_gpus and not seat.busy]
        if not idle or (waiter := self._leases.waiter()) is None:
            return
        if waiter not in {process.pid for process in multiprocessing.active_children()}:
            for seat in idle:
                self._end(seat)

    def shutdown(self, *, cancel_futures: bool = False) -> None:
        """Wait for what is at work, and end all; what was not begun may be cancelled."""
        if not self._all:
            return
        # A pool waits for its process to end, which takes a while: all of them end together.
        threads = ThreadPoolExecutor(len(self._all))
        ends = [
            threads.submit(seat.pool.shutdown, cancel_futures=cancel_futures) for seat in self._all
        ]
        # polars has waits restarted after a signal, so that one without an end is deaf to Ctrl-C.
        while wait(ends, WAKE_SECONDS).not_done:
            pass
        threads.shutdown()
        for end in ends:
            end.result()

    def _has_room(self, n_gpus: int) -> bool:
        if n_gpus == 0:
            return sum(seat.n_gpus == 0 for seat in self._all) < self.jobs
        return n_gpus <= self.n_gpus - sum(seat.n_gpus for seat in self._all)

    def _make_room(self, n_gpus: int) -> bool:
        """End idle workers on GPUs until `n_gpus` are free; none where that would not do."""
        idle = [seat for seat in self._all if seat.n_gpus and not seat.busy]
        busy = sum(seat.n_gpus for seat in self._all if seat.busy)
        if n_gpus == 0 or n_gpus > self.n_gpus - busy:
            return False
        for seat in idle:
            if self._has_room(n_gpus):
                break
            self._end(seat)
        return True

    def _new(self, n_gpus: int) -> Seat:
        seat = Seat(n_gpus, self._make())
        self._all.append(seat)
        return seat

    def _end(self, seat: Seat) -> None:
        # Whoever takes its GPU waits for the lease, which it has until its process is gone.
        seat.pool.shutdown(wait=False)
        self._all.remove(seat)
