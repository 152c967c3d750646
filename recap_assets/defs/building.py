"""Bringing everything that is out of date up to date, through Dagster runs in worker processes.

A run in a process of its own costs seconds to start and to import the model libraries, most of the
time of a small experiment. Here a few processes stay, and each executes one Dagster run after the
other; the runs, their events and their failures are in the instance like any others.
"""

import multiprocessing
import queue
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.queues import Queue

from recap_assets.defs.assets import REUSE_TAG
from recap_assets.defs.build_state import Failures, Finished, Ran, State
from recap_assets.defs.dead_runs import close_dead_runs
from recap_assets.defs.executing import News, open_experiment, run_batch
from recap_assets.defs.lineage import copy_missing_events, keep_experiment
from recap_assets.defs.purse import Purse
from recap_assets.defs.remote.chosen import ChosenWorkers
from recap_assets.defs.seats import Seat, Seats
from recap_assets.defs.session import Session, say
from recap_assets.defs.work_left import WorkLeft
from recap_assets.defs.worker_start import WorkerProcesses, deaf_to_interrupts
from recap_assets.engines.gpus import chosen_gpus
from recap_assets.graph.batches import Batch, batches_of, needed
from recap_assets.graph.budget import Budget
from recap_assets.graph.estimates import Estimates
from recap_assets.graph.node import Leaving
from recap_assets.graph.planner import Plan, name_of, plan
from recap_assets.graph.records import RememberedRecords

POLL_SECONDS = 0.5
LINEAGE_SECONDS = 30.0
DIED = (
    "a worker process died (out of memory, or killed); what it had finished is kept: run again, "
    "with fewer --jobs if memory was short"
)
STILL_STALE = (
    "was built and is out of date still: what it reads keeps changing, or a bug; see the run"
)
STOPPING = (
    "Stopping when this is done: {names}. Press Ctrl-C once more to end it at once; the next build "
    "then does it again"
)

MAX_GOES = 4
"""How often a partition is built in one build: what it reads may change while it is built, such as
by a neighbour that turns out to have the same samples."""


class Build:
    """One build: `events` runs it and yields its state whenever something happened.

    Args:
        session: The experiment.
        jobs: Worker processes.
        select: The assets to bring up to date, with all that they read; None: all.
        reuses: Whether what was computed before is taken over.
        budget: What may be spent; None: anything.
        processes: Its worker processes, where some were started before; by default none were.
    """

    def __init__(
        self,
        session: Session,
        jobs: int,
        select: Collection[str] | None = None,
        *,
        reuses: bool = True,
        budget: Budget | None = None,
        processes: WorkerProcesses | None = None,
    ) -> None:
        self.session = session
        self._processes = processes or WorkerProcesses()
        self.jobs = jobs
        self._tags = {} if reuses else {REUSE_TAG: "false"}
        self.state = State()
        self._instance = session.open_instance()
        close_dead_runs(self._instance)
        self._stored = session.records(self._instance)
        self._wanted = None if select is None else session.graph.ancestors(select)
        self._stored.look(session.graph.nodes)
        self._records = RememberedRecords(self._stored)
        self._n_gpus = len(chosen_gpus())
        workers = ChosenWorkers(session.project).of(self._instance)
        self._elsewhere = {key for key, node in session.graph.nodes.items() if workers.takes(node)}
        self._running: dict[Future[Ran], tuple[Batch, float, Seat]] = {}
        self._n_built: Counter[tuple[str, str]] = Counter()
        self._work = WorkLeft(
            session.graph,
            self._records,
            self.state,
            lambda: [(batch, started) for batch, started, _ in self._running.values()],
            reuses=reuses,
        )
        self._unfit: set[str] = set()
        self._uncopied: set[str] = set()
        self._copied_at = time.monotonic()
        by = (session.project, lambda: self.estimates, self._n_gpus, self._elsewhere)
        self.purse = budget and Purse(budget, *by)

    def plan(self, *, look_for_content: bool = True) -> Plan:
        """What is out of date now, of what was selected and of what that reads."""
        whole = plan(self.session.graph, self._records, look_for_content=look_for_content)
        return whole if self._wanted is None else whole.only(self._wanted)

    @property
    def estimates(self) -> Estimates:
        """What building is expected to take."""
        return self._work.estimates

    def remove(self, leaving: Sequence[Leaving]) -> None:
        """Delete the content of what left the experiment."""
        for one in leaving:
            one.remove()

    def may_take_over(self, leaving: Leaving) -> bool:
        """Whether an asset of another name may take over what left the experiment."""
        stage, _, _ = leaving.asset.rpartition("/")
        nodes = self.session.graph.nodes.values()
        return any(node.any_name and node.key.rpartition("/")[0] == stage for node in nodes)

    def events(self) -> Iterator[State | Finished]:
        """Build until nothing is ready any more."""
        self.session.create_tables()
        self._work.estimate(at_once=True)
        keep_experiment(self.session.project)
        seats = Seats(self.jobs, self._n_gpus, self._processes.make)
        try:
            yield from self._loop(seats, self._processes.progress)
        except (KeyboardInterrupt, GeneratorExit):
            self._stop(seats)
            raise
        finally:
            try:
                self._keep_lineage(self.session.graph.nodes)
                self._stored.save()
            finally:
                seats.shutdown()

    def _stop(self, seats: Seats) -> None:
        """Wait for what is at work; interrupted once more, end it.

        For the workers themselves, too: what they are started with must outlive their start.
        """
        try:
            # The second one may come while this is being said.
            if names := ", ".join(batch.name for batch, *_ in self._running.values()):
                say(STOPPING.format(names=names))
            seats.shutdown(cancel_futures=True)
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.kill()

    def _keep_lineage(self, assets: Collection[str]) -> None:
        copy_missing_events(self.session.project, self._instance, self._stored, assets)
        self._uncopied.clear()
        self._copied_at = time.monotonic()

    def _loop(self, seats: Seats, progress: "Queue[News]") -> Iterator[State | Finished]:
        current = self.plan()
        with deaf_to_interrupts():
            seats.start(
                sum(not self._gpus_of(one.asset) for one in current.to_build), open_experiment
            )
        self._work.look(current)
        while True:
            self._work.expect(current)
            seats.give_way()
            for batch, seat in self._next_batches(current, seats):
                tags = self._tags | (self.purse.begin(batch) if self.purse else {})
                with deaf_to_interrupts():
                    future = seats.submit(seat, batch, partial(run_batch, more_tags=tags))
                    self._running[future] = (batch, time.monotonic(), seat)
            if not self._running:
                return
            done, _ = wait(self._running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            self._listen(progress)
            finished = [self._finish(future, seats) for future in done]
            if finished:
                current = self._after(finished)
                self._work.look(current)
                self._work.expect(current)
            yield from finished
            yield self.state

    def _finish(self, future: Future[Ran], seats: Seats) -> Finished:
        batch, started, seat = self._running.pop(future)
        for asset, partition in batch.keys:
            self.state.running.pop(name_of(asset, partition), None)
        try:
            ran = future.result()
        except BrokenProcessPool:
            ran = Ran(Failures(DIED))
        self._work.finish(batch.keys, ran.taken_over)
        seats.leave(seat, died=ran.failures.whole == DIED)
        if self.purse:
            self.purse.end(batch, ran.spent)
        self.state.add(ran)
        return Finished(batch, time.monotonic() - started, ran.failures)

    def _after(self, finished: Sequence[Finished]) -> Plan:
        built = {node.key for one in finished for node in one.batch.nodes}
        self._look_again(built)
        self._uncopied |= built
        self._work.estimate()
        if time.monotonic() - self._copied_at > LINEAGE_SECONDS:
            self._keep_lineage(self._uncopied)
        current = self.plan(look_for_content=False)
        if not current.ready and not self._running:
            # Others may have built in the meantime, and what was thought there may be gone.
            self._look_again(self.session.graph.nodes)
            current = self.plan()
        ready = {(entry.asset, entry.partition) for entry in current.ready}
        for one in finished:
            # A run continues past a failed step: what it did not bring up to date is what failed.
            again = one.batch.keys & ready
            self._n_built.update(one.batch.keys)
            # Someone else may have changed what it reads while it was built: once more, then.
            for key in again:
                error = one.failures.of(key[0])
                if self.purse and self.purse.has_stopped(key, error):
                    continue
                if error or self._n_built[key] >= MAX_GOES:
                    self.state.failed[name_of(*key)] = error or STILL_STALE
            self.state.n_done += len(one.batch.keys - again)
            unfit = {key for key in one.batch.keys if key[0] in one.failures.unfit}
            self.state.failed |= {name_of(*key): one.failures.unfit[key[0]] for key in unfit}
            self._unfit |= one.failures.unfit.keys()
        return current

    def _look_again(self, assets: Collection[str]) -> None:
        """Have the next plan read these records again, all in one question."""
        self._stored.look(assets)
        self._records.forget(assets)

    def _listen(self, progress: "Queue[News]") -> None:
        while True:
            try:
                asset, partition, done = progress.get_nowait()
            except queue.Empty:
                break
            self.state.running[name_of(asset, partition)] = min(done, 1.0)
        self._work.count_running()

    def _gpus_of(self, asset: str) -> int:
        """GPUs of this machine that a partition of it is computed on."""
        return (
            0 if asset in self._elsewhere else needed(self.session.graph.nodes[asset], self._n_gpus)
        )

    def _next_batches(self, current: Plan, seats: Seats) -> Iterator[tuple[Batch, Seat]]:
        if len(self._running) >= self.jobs + self._n_gpus:
            return
        graph = self.session.graph
        busy = {key for batch, *_ in self._running.values() for key in batch.keys}
        stopped = self.purse.stopped if self.purse else set[tuple[str, str]]()
        ready = [
            entry
            for entry in current.ready
            if (entry.asset, entry.partition) not in busy | stopped
            and name_of(entry.asset, entry.partition) not in self.state.failed
            and not self._unfit & graph.ancestors([entry.asset])
        ]
        # A batch that waits for several GPUs is not overtaken by others that need fewer.
        waits: set[bool] = set()
        seconds_of = self._work.seconds.__getitem__
        for batch in batches_of(graph, ready, self.jobs, seconds_of, self._n_gpus, self._elsewhere):
            on_gpu = batch.n_gpus > 0
            if (begun := self.purse.affordable(batch) if self.purse else batch) is None:
                continue
            if on_gpu not in waits and (seat := seats.place(begun)) is not None:
                yield begun, seat
            else:
                waits.add(on_gpu)
