"""What a build shows of where it is: never less than before, and when the rest will be done."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest
from rich.console import Console

from recap_assets.cli import progress
from recap_assets.cli.progress import show_progress
from recap_assets.defs import building
from recap_assets.defs.build_state import ALMOST, Finished, State
from recap_assets.defs.building import Build
from recap_assets.graph.planner import Plan


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
