"""What a build shows of where it is: never less than before, and when the rest will be done."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any, cast

import pytest
from rich.console import Console

from recap_assets.cli import progress
from recap_assets.cli.progress import show_progress
from recap_assets.defs import building
from recap_assets.defs.build_state import ALMOST, PACED_SHARE, AtWork, Finished, State, paced
from recap_assets.defs.building import Build
from recap_assets.graph.planner import Plan, name_of


def state(finished: float, left: float, running: float = 0.0) -> State:
    found = State(finished_seconds=finished, left_seconds=left, running_seconds=running)
    found.advance()
    return found


def test_work_that_turns_out_longer_takes_no_share_back() -> None:
    found = state(finished=22, left=78)
    assert found.share == pytest.approx(0.22)
    found.left_seconds = 200
    found.advance()
    assert found.share == pytest.approx(0.22)
    found.finished_seconds = 150
    found.advance()
    assert found.share == pytest.approx(150 / 350)


def test_all_is_done_when_nothing_is_left_and_not_before() -> None:
    found = state(finished=10, left=5, running=8)
    assert found.share == ALMOST
    found.left_seconds = 0
    found.advance()
    assert found.share == 1


def test_the_time_left_is_that_of_the_present_estimate_at_the_speed_so_far() -> None:
    found = state(finished=30, left=90)
    assert found.seconds_left(60) == pytest.approx(180)
    # What is left turned out to take three times as long: the share stays, the time does not.
    found.left_seconds = 270
    found.advance()
    assert found.share == pytest.approx(0.25)
    assert found.seconds_left(60) == pytest.approx(540)
    assert state(finished=1, left=99).seconds_left(60) is None


class Shown:
    """A build whose estimates grow while it runs."""

    def __init__(self) -> None:
        self.state = State()

    def events(self) -> Iterator[State | Finished]:
        for finished, left, running in ((10, 90, 5), (20, 300, 300), (200, 100, 0), (300, 0, 0)):
            self.state.finished_seconds, self.state.left_seconds = finished, left
            self.state.running_seconds = running
            self.state.advance()
            yield self.state


def test_the_lines_of_a_build_never_go_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", -1.0)
    show_progress(Console(width=100), Shown())
    shares = [int(share) for share in re.findall(r"(\d+)% ETA", capsys.readouterr().out)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (15, 100)
    assert len(shares) == 4


def test_what_is_done_is_valued_as_what_is_left() -> None:
    build = Build.__new__(Build)
    build.state, build._running, build._done = State(), {}, Counter({"a": 3})
    build._seconds = {"a": 1.0, "b": 1.0}
    left = cast("Plan", type("Left", (), {"to_build": [type("One", (), {"asset": "b"})] * 3}))
    build._expect(left)
    assert build.state.share == pytest.approx(0.5)
    # Measured, `a` took nine times as long as guessed: more than half is done by now.
    build._seconds = {"a": 9.0, "b": 1.0}
    build._expect(left)
    assert build.state.share == pytest.approx(0.9)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


class Simulated:
    """A build of assets on one worker by a clock: what each partition is guessed and takes."""

    def __init__(self, clock: Clock, partitions: list[tuple[str, float, float]]) -> None:
        self.clock, self.started = clock, clock.now
        self.left = list(partitions)
        self.build = Build.__new__(Build)
        self.build.state, self.build._running, self.build._done = State(), {}, Counter()
        self.build._seconds = {asset: guess for asset, guess, _ in partitions}

    def shown(self, step: float) -> Iterator[tuple[float, float | None, float]]:
        """At each step the share, the time left that is shown, and what is really left."""
        while self.left:
            asset, _, takes = self.left[0]
            name, began = f"{asset}-{len(self.left)}", self.clock.now
            batch = cast("Any", type("One", (), {"keys": {(asset, name)}}))
            self.build._running = {cast("Any", object()): (batch, began, cast("Any", None))}
            while self.clock.now - began < takes:
                self.clock.now += min(step, takes - (self.clock.now - began))
                self.build.state.running[name_of(asset, name)] = (self.clock.now - began) / takes
                self.expect()
                yield self.now()
            self.build._running, self.build._done[asset] = {}, self.build._done[asset] + 1
            self.build._seconds[asset] = takes
            self.left = self.left[1:]
            self.expect()
        yield self.now()

    def expect(self) -> None:
        left = [type("One", (), {"asset": asset}) for asset, _, _ in self.left]
        self.build._expect(cast("Plan", type("Left", (), {"to_build": left})))

    def now(self) -> tuple[float, float | None, float]:
        left = sum(takes for _, _, takes in self.left)
        if self.build._running:
            _, began, _ = next(iter(self.build._running.values()))
            left -= self.clock.now - began
        elapsed = self.clock.now - self.started
        return self.build.state.share, self.build.state.seconds_left(elapsed), left


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(building, "time", found)
    return found


@pytest.mark.parametrize("guess", [0.1, 5.0, 60.0, 3_000.0])
def test_work_that_nobody_measured_is_timed_by_its_own_speed(clock: Clock, guess: float) -> None:
    build = Simulated(clock, [("captions", guess, 60.0)] * 10)
    found = list(build.shown(step=2.0))
    shown = [(eta, left) for _, eta, left in found if eta is not None]
    # Once a twentieth of the first one is done the time left is right, and it falls from then on.
    assert len(shown) > 0.95 * len(found)
    late = shown[2:]
    assert all(eta == pytest.approx(left, abs=0.01) for eta, left in late)
    assert all(after - before < 1e-6 for (before, _), (after, _) in pairwise(late))


@pytest.mark.parametrize("seed", range(20))
def test_shares_rise_and_end_at_one_whatever_was_guessed(clock: Clock, seed: int) -> None:
    draw = Random(seed)  # noqa: S311 - any numbers
    work = [
        (asset, draw.choice([0.01, 1.0, 30.0]), draw.choice([0.5, 20.0, 300.0]))
        for asset in "abcde"
        for _ in range(draw.randint(1, 4))
    ]
    of_asset = {asset: takes for asset, _, takes in work}
    build = Simulated(clock, [(asset, guess, of_asset[asset]) for asset, guess, _ in work])
    shares = [share for share, *_ in build.shown(step=0.25)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert all(0 <= share <= ALMOST for share in shares[:-1])


def test_the_last_long_one_does_not_stay_at_99_percent(clock: Clock) -> None:
    """A training that was guessed at a twentieth of its time, after everything else."""
    build = Simulated(clock, [*[("pool", 1.0, 1.0)] * 20, ("training", 10.0, 200.0)])
    found = list(build.shown(step=1.0))
    near = [share for share, *_ in found if ALMOST <= share < 1]
    assert len(near) < 0.05 * len(found)
    wrong = [abs(eta - left) for _, eta, left in found[40:] if eta is not None]
    assert max(wrong) < 1


def test_a_partition_that_has_hardly_begun_says_nothing_of_its_speed() -> None:
    expected = {"a": 10.0, "b": 1.0}
    assert paced(expected, [AtWork(100.0, [("a", PACED_SHARE / 2)])]) == expected
    assert paced(expected, [AtWork(0.0, [])]) == expected
    assert paced({"a": 0.0}, [AtWork(3.0, [("a", 0.5)])]) == {"a": 0.0}
    found = paced(expected, [AtWork(10.0, [("a", 0.5), ("a", 0.0)]), AtWork(60.0, [("a", 1.0)])])
    # Twice and six times as long as expected: four times in the mean.
    assert found == {"a": 40.0, "b": 1.0}


@pytest.mark.parametrize("where", ["said", "waited for"])
def test_a_second_interrupt_ends_the_workers_whenever_it_comes(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    killed: list[str] = []

    class Worker:
        def kill(self) -> None:
            killed.append("worker")

    class Workers:
        def shutdown(self, *, cancel_futures: bool) -> None:
            assert cancel_futures
            raise KeyboardInterrupt

    def say(_text: str) -> None:
        if where == "said":
            raise KeyboardInterrupt

    build = Build.__new__(Build)
    batch = type("Named", (), {"name": "models/captioner"})
    build._running = cast("Any", {object(): (batch, 0.0)})
    monkeypatch.setattr(building, "say", say)
    monkeypatch.setattr(building.multiprocessing, "active_children", lambda: [Worker()])
    build._stop(cast("Any", Workers()))
    assert killed == ["worker"]
