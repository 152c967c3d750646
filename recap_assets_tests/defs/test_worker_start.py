"""Worker processes that start before there is a build, and become its workers or end."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from recap_assets.cli import building
from recap_assets.defs import worker_start
from recap_assets.defs.worker_start import EARLY, WorkerProcesses
from recap_assets_tests.cli.running import recap_in, write_experiment
from recap_assets_tests.waiting import SECONDS


def is_deaf() -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> WorkerProcesses:
    """Of processes that import nothing of a build's."""
    monkeypatch.setattr(worker_start, "start_worker", _start_nothing)
    return WorkerProcesses()


def _start_nothing(_progress: object) -> None: ...


def test_workers_are_those_that_were_started_first(processes: WorkerProcesses) -> None:
    processes.start(EARLY + 1)
    begun = {process.pid for process in multiprocessing.active_children()}
    pools = [processes.make() for _ in range(EARLY + 1)]
    try:
        *early, new = [pool.submit(os.getpid).result(SECONDS) for pool in pools]
        assert len(set(early)) == EARLY
        assert set(early) <= begun
        assert new not in begun
    finally:
        for pool in pools:
            pool.shutdown()


def test_they_are_deaf_to_interrupts_and_this_process_is_not(processes: WorkerProcesses) -> None:
    processes.start(1)
    assert not is_deaf()
    pool = processes.make()
    try:
        assert pool.submit(is_deaf).result(SECONDS)
    finally:
        pool.shutdown()


def test_what_became_no_worker_ends_and_the_workers_stay(processes: WorkerProcesses) -> None:
    before = set(multiprocessing.active_children())
    processes.start(2)
    pool = processes.make()
    try:
        processes.end()
        (left,) = set(multiprocessing.active_children()) - before
        assert pool.submit(os.getpid).result(SECONDS) == left.pid
    finally:
        pool.shutdown()


@pytest.mark.parametrize(
    ("words", "is_built", "n_started"),
    [
        (("--yes", "--jobs", 7), False, 7),
        (("--yes",), True, None),
        ((), False, None),
        (("--remove",), False, None),
        (("--yes", "--dry-run"), False, None),
    ],
)
def test_they_start_where_it_is_sure_that_there_is_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[object, ...],
    is_built: bool,
    n_started: int | None,
) -> None:
    told: list[object] = []
    monkeypatch.setattr(WorkerProcesses, "start", lambda _self, n: told.append(n))
    monkeypatch.setattr(WorkerProcesses, "end", lambda _self: told.append("ended"))
    monkeypatch.setattr(building, "run_build", failing(told))
    if is_built:
        (tmp_path / "data" / "tiny" / "tables").mkdir(parents=True)
    recap_in(monkeypatch, tmp_path)("-e", write_experiment(tmp_path), "build", *words)
    assert told == [*([n_started] if n_started else []), "ran", "ended"]


def failing(told: list[object]) -> Callable[..., int]:
    def run(*_: object) -> int:
        told.append("ran")
        raise KeyboardInterrupt

    return run
