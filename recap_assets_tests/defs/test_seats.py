"""Which worker of a build a batch is given to, and which workers make room or give way."""

import os
from pathlib import Path
from threading import Barrier
from typing import Any, cast

import pytest

from recap_assets.defs.build_state import Failures, Ran
from recap_assets.defs.seats import Seat, Seats
from recap_assets.graph.batches import Batch
from recap_assets.graph.node import Node, Outcome
from recap_assets.storage.leases import Leases


class Pool:
    """A pool that does nothing, and knows when it has ended."""

    ended = False

    def submit(self, *_: object) -> object:
        return object()

    def shutdown(self, **_: object) -> None:
        self.ended = True


def work(_assets: object, _partitions: object) -> Ran:
    return Ran(Failures())


def batch(asset: str, n_gpus: int) -> Batch:
    node = Node(
        key=asset, stage="test", dimension="pool", dependencies=(), implementation=1, decides="{}",
        compute=lambda _step: Outcome("", 0), description="",
    )  # fmt: skip
    return Batch((node,), ("00000",), 1.0, n_gpus)


class Machine:
    def __init__(self, folder: Path, jobs: int, n_gpus: int) -> None:
        self.leases = Leases(folder)
        self.seats = Seats(jobs, n_gpus, lambda: cast("Any", Pool()), self.leases)

    def begin(self, asset: str, n_gpus: int) -> Seat | None:
        one = batch(asset, n_gpus)
        if (seat := self.seats.place(one)) is not None:
            self.seats.submit(seat, one, work)
        return seat

    def did(self, asset: str, n_gpus: int) -> Seat:
        seat = self.begin(asset, n_gpus)
        assert seat is not None
        self.seats.leave(seat, died=False)
        return seat

    def ended(self, seat: Seat) -> bool:
        return cast("Pool", seat.pool).ended


def test_work_on_the_cpu_runs_beside_that_on_gpus(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 1, 2)
    assert machine.begin("captions/a", 1) is not machine.begin("captions/a", 1)
    assert machine.begin("captions/a", 1) is None
    assert machine.begin("raw_pool", 0) is not None
    assert machine.begin("raw_pool", 0) is None


@pytest.mark.parametrize(("n", "n_started"), [(0, 0), (1, 1), (5, 2)])
def test_workers_start_before_there_is_work_for_each(n: int, n_started: int) -> None:
    pools: list[Counted] = []

    def make() -> "Counted":
        pools.append(Counted())
        return pools[-1]

    def opens() -> None: ...

    seats = Seats(2, 0, cast("Any", make))
    seats.start(n, opens)
    assert [pool.given for pool in pools] == [[opens]] * n_started
    for asset in ("a", "b"):
        seat = seats.place(batch(asset, 0))
        assert seat is not None
        seats.submit(seat, batch(asset, 0), work)
    assert [pool.given[-1] for pool in pools] == [work, work]
    assert seats.place(batch("c", 0)) is None


class Counted(Pool):
    """Knows what it was given."""

    def __init__(self) -> None:
        self.given: list[object] = []

    def submit(self, *given: object) -> object:
        self.given.append(given[0])
        return object()


def test_a_batch_goes_to_the_worker_that_has_its_model(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 1, 2)
    first = machine.begin("captions/a", 1)
    second = machine.begin("captions/b", 1)
    assert first is not None
    assert second is not None
    for seat in (first, second):
        machine.seats.leave(seat, died=False)
    assert machine.begin("captions/b", 1) is second
    assert machine.begin("captions/c", 1) is first


def test_a_free_gpu_is_used_before_a_model_is_given_up(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 1, 2)
    first = machine.did("captions/a", 1)
    assert machine.begin("captions/b", 1) is not first
    assert machine.begin("captions/a", 1) is first


def test_idle_workers_make_room_for_one_that_needs_all_gpus(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 1, 3)
    busy = machine.begin("captions/a", 1)
    idle = machine.did("captions/b", 1)
    assert busy is not None
    assert machine.begin("trained_clip/a", 3) is None
    assert not machine.ended(idle), "it would not have made room enough"
    machine.seats.leave(busy, died=False)
    assert machine.begin("trained_clip/a", 3) is not None
    assert machine.ended(idle)
    assert machine.ended(busy)


def test_a_worker_that_died_is_replaced(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 1, 1)
    seat = machine.begin("captions/a", 1)
    assert seat is not None
    machine.seats.leave(seat, died=True)
    again = machine.begin("captions/a", 1)
    assert again is not None
    assert again is not seat


def test_idle_workers_give_way_to_another_process_and_not_to_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path, 1, 2)
    idle, busy = machine.did("captions/a", 1), machine.begin("captions/b", 1)
    assert busy is not None
    machine.seats.give_way()
    assert not machine.ended(idle), "nobody waits"
    child = type("Child", (), {"pid": os.getpid()})
    with machine.leases._turn("waits"):
        with monkeypatch.context() as patch:
            patch.setattr("multiprocessing.active_children", lambda: [child])
            machine.seats.give_way()
        assert not machine.ended(idle), "a worker of this build waits"
        machine.seats.give_way()
    assert machine.ended(idle)
    assert not machine.ended(busy)


class Slow(Pool):
    """Ends only when all that it is told of have begun to."""

    def __init__(self, begun: Barrier) -> None:
        self._begun = begun

    def shutdown(self, **_: object) -> None:
        self._begun.wait(30)
        self.ended = True


def test_all_workers_end_together() -> None:
    begun = Barrier(3)
    seats = Seats(3, 0, lambda: cast("Any", Slow(begun)))
    used = [seats.place(batch(asset, 0)) for asset in ("a", "b", "c")]
    seats.shutdown()
    assert [cast("Slow", seat.pool).ended for seat in used if seat] == [True] * 3


def test_what_goes_wrong_at_the_end_of_a_worker_is_said() -> None:
    class Broken(Pool):
        def shutdown(self, **_: object) -> None:
            raise OSError("no more handles")

    seats = Seats(1, 0, lambda: cast("Any", Broken()))
    seats.place(batch("a", 0))
    with pytest.raises(OSError, match="no more handles"):
        seats.shutdown()
