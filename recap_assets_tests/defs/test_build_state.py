"""What a build shows of where it is: never less than before, and when the rest will be done."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from recap_assets.cli import progress
from recap_assets.cli.progress import show_progress
from recap_assets.defs import building, work_left
from recap_assets.defs.build_state import ALMOST, PACED_SHARE, AtWork, Finished, State, paced
from recap_assets.defs.building import Build
from recap_assets.defs.work_left import TAKING_SECONDS, Running, WorkLeft
from recap_assets.graph.batches import Batch
from recap_assets.graph.estimates import Pace
from recap_assets.graph.node import Graph
from recap_assets.graph.planner import OutOfDate, Plan, name_of
from recap_assets.graph.taking_over import Key, TakenOver, TakingOver
from recap_assets_tests.tiny import Memory


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


def work_of(seconds: Mapping[str, float], running: Running = tuple) -> tuple[State, WorkLeft]:
    """Of a build of assets whose partitions take so long."""
    state = State()
    work = WorkLeft(Graph([], lambda _: ()), Memory(), state, running, reuses=True)
    work.seconds = dict(seconds)
    return state, work


def left_of(*keys: Key) -> Plan:
    return Plan(tuple(OutOfDate(*key, "ready", "") for key in keys))


def test_what_is_done_is_valued_as_what_is_left() -> None:
    state, work = work_of({"a": 1.0, "b": 1.0})
    work.finish([("a", number) for number in "012"], [])
    left = left_of(*(("b", number) for number in "012"))
    work.expect(left)
    assert state.share == pytest.approx(0.5)
    # Measured, `a` took nine times as long as guessed: more than half is done by now.
    work.seconds = {"a": 9.0, "b": 1.0}
    work.expect(left)
    assert state.share == pytest.approx(0.9)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


class Simulated:
    """A build of assets on one worker by a clock: what each partition is guessed and takes.

    What takes no time is taken over, and the plan says so.
    """

    def __init__(self, clock: Clock, partitions: list[tuple[str, float, float]]) -> None:
        self.clock, self.started = clock, clock.now
        named = enumerate(partitions)
        self.left = [((asset, str(number)), takes) for number, (asset, _, takes) in named]
        self.running: list[tuple[Batch, float]] = []
        guesses = {asset: guess for asset, guess, _ in partitions}
        self.state, self.work = work_of(guesses, lambda: self.running)
        taken = {key: TakenOver("another", 1) for key, takes in self.left if not takes}
        self.work.taking_over = TakingOver(taken)

    def shown(self, step: float) -> Iterator[tuple[float, float | None, float]]:
        """At each step the share, the time left that is shown, and what is really left."""
        while self.left:
            (key, takes), *rest = self.left
            began = self.clock.now
            self.running = [(cast("Batch", type("One", (), {"keys": {key}})), began)]
            while self.clock.now - began < takes:
                self.clock.now += min(step, takes - (self.clock.now - began))
                self.state.running[name_of(*key)] = (self.clock.now - began) / takes
                self.expect()
                yield self.now()
            self.clock.now += 0 if takes else TAKING_SECONDS
            self.running, self.left = [], rest
            self.work.finish([key], [] if takes else [key])
            if takes:
                self.measure(key[0], takes)
            self.expect()
        yield self.now()

    def measure(self, asset: str, takes: float) -> None:
        """What `WorkLeft.estimate` finds when it was built."""
        self.work.seconds[asset] = takes
        if (guess := self.work.unmeasured.pop(asset, None)) is not None:
            self.work.paces.append(Pace(guess, takes))

    def expect(self) -> None:
        self.work.expect(left_of(*(key for key, _ in self.left)))

    def now(self) -> tuple[float, float | None, float]:
        left = sum(takes or TAKING_SECONDS for _, takes in self.left)
        if self.running:
            left -= self.clock.now - self.running[0][1]
        elapsed = self.clock.now - self.started
        return self.state.share, self.state.seconds_left(elapsed), left


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(work_left, "time", found)
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


@pytest.mark.parametrize("slower", [1.0, 4.0, 15.0])
def test_a_machine_is_as_fast_as_the_first_thing_that_runs_on_it(
    clock: Clock, slower: float
) -> None:
    """All guesses are wrong by the same factor, as on a busy machine."""
    guesses = {"pool": 10.0, "models": 30.0, "trained": 20.0, "evaluated": 5.0}
    build = Simulated(clock, [(asset, guess, slower * guess) for asset, guess in guesses.items()])
    build.work.unmeasured = dict(guesses)
    found = list(build.shown(step=0.2 * slower))
    # From a twentieth of the first one on.
    late = [(eta, left) for _, eta, left in found[3:] if eta is not None]
    assert len(late) > 0.9 * len(found)
    assert all(eta == pytest.approx(left, rel=0.01, abs=0.01) for eta, left in late)


def test_a_time_that_is_guessed_is_shown_as_a_guess_until_most_was_measured(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guesses = {"pool": 10.0, "models": 30.0, "trained": 20.0}
    build = Simulated(clock, [(asset, guess, guess) for asset, guess in guesses.items()])
    build.work.unmeasured = dict(guesses)
    monkeypatch.setattr(progress, "QUIET_SECONDS", -1.0)
    monkeypatch.setattr(progress, "time", clock)

    def events() -> Iterator[State]:
        for _ in build.shown(step=1.0):
            yield build.state

    show_progress(
        Console(width=100), cast("Any", SimpleNamespace(state=build.state, events=events))
    )
    etas = re.findall(r"ETA (~?)\d+:\d\d", capsys.readouterr().out)
    assert etas[0] == "~"
    # While the models run, 20 of 50 seconds are still a guess.
    assert etas[12:] == [""] * len(etas[12:])


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


@pytest.mark.parametrize("taken_first", [True, False])
def test_what_is_taken_over_leaves_the_time_of_the_rest_right(
    clock: Clock,
    taken_first: bool,
) -> None:
    taken, computed = [("training", 600.0, 0.0)] * 8, [("training", 600.0, 600.0)] * 2
    build = Simulated(clock, [*taken, *computed] if taken_first else [*computed, *taken])
    found = list(build.shown(step=5.0))
    wrong = [abs(eta - left) for _, eta, left in found if eta is not None]
    assert len(wrong) > 0.9 * len(found)
    assert max(wrong) < 1
    assert found[-1][0] == 1


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
