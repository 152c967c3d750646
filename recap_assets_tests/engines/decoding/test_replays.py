"""Work is run, then recorded, then replayed; what cannot be recorded is run."""

import pytest
import torch

from recap_assets.engines.decoding import replays
from recap_assets.engines.decoding.replays import Pools, Replays, recorder


class Log:
    """Records by keeping the work, and notes what happens."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def work(self, name: str):
        return lambda: self.events.append(f"ran {name}")

    def record(self, work):
        self.events.append("recorded")
        return lambda: (self.events.append("replayed"), work())


def test_the_first_run_is_plain_the_second_recorded_and_the_third_replayed():
    log = Log()
    found = Replays(log.record)
    for _ in range(3):
        found.run("a", log.work("a"))
    # What is recorded is done once more, so that its replay can be compared.
    assert log.events == [
        "ran a", "ran a", "recorded", "replayed", "ran a", "replayed", "ran a"
    ]  # fmt: skip


def test_a_kind_has_its_own_recording():
    log = Log()
    found = Replays(log.record)
    for key in ("a", "b", "a", "b"):
        found.run(key, log.work(key))
    assert log.events.count("recorded") == 2
    assert log.events.count("replayed") == 2


def test_forgotten_work_is_run_plainly_again():
    log = Log()
    found = Replays(log.record)
    for _ in range(2):
        found.run("a", log.work("a"))
    found.forget()
    log.events.clear()
    found.run("a", log.work("a"))
    assert log.events == ["ran a"]


def test_the_oldest_recordings_are_given_up(monkeypatch):
    monkeypatch.setattr(replays, "MOST", 2)
    log = Log()
    found = Replays(log.record)
    for key in "aabbccaa":
        found.run(key, log.work(key))
    assert log.events[-4:] == ["ran a", "recorded", "replayed", "ran a"]
    assert log.events.count("recorded") == 4


def test_what_cannot_be_recorded_is_run_and_said_once(caplog):
    def record(_work):
        msg = "operation not permitted when stream is capturing\nmore"
        raise RuntimeError(msg)

    log = Log()
    found = Replays(record)
    for key in ("a", "a", "b", "b", "a"):
        found.run(key, log.work(key))
    assert log.events == ["ran a", "ran a", "ran b", "ran b", "ran a"]
    (said,) = caplog.messages
    assert said.endswith("not permitted when stream is capturing")


@pytest.mark.parametrize(
    ("error", "is_recorded_later"),
    [(torch.OutOfMemoryError("CUDA out of memory"), True), (RuntimeError("not permitted"), False)],
)
def test_without_memory_nothing_is_recorded_until_there_is_other_room(error, is_recorded_later):
    """A batch that was halved leaves memory; what a device cannot record it never can."""
    log, errors = Log(), [error]

    def record(work):
        if errors:
            raise errors.pop()
        return log.record(work)

    found = Replays(record)
    for _ in range(4):
        found.run("a", log.work("a"))
    assert log.events == ["ran a"] * 4
    found.forget()
    for _ in range(3):
        found.run("a", log.work("a"))
    assert ("recorded" in log.events) is is_recorded_later
    assert (log.events[-2:] == ["replayed", "ran a"]) is is_recorded_later


def test_a_cpu_records_nothing():
    assert recorder(torch.device("cpu")) is None


def test_a_recording_with_other_bits_is_not_used(caplog):
    """As of a library that chooses another kernel where it is recorded."""
    written = torch.zeros(3)

    def work():
        written.add_(1.0)

    def record(_work):
        return lambda: written.add_(1.0 + 1e-6)

    found = Replays(record)
    for n in range(4):
        found.run("a", work, [written])
        assert torch.equal(written, torch.full((3,), n + 1.0))
    (said,) = caplog.messages
    assert said.endswith("a recorded step has other bits")


def test_a_recording_that_fails_leaves_what_the_work_wrote(caplog):
    written = torch.zeros(3)

    def record(_work):
        def replay():
            written.fill_(9)
            msg = "CUDA error: out of memory"
            raise torch.OutOfMemoryError(msg)

        return replay

    found = Replays(record)
    for _ in range(2):
        found.run("a", lambda: written.add_(1.0), [written])
    assert torch.equal(written, torch.full((3,), 2.0))
    assert caplog.messages[0].endswith("memory ran out")


def test_a_recording_of_nan_is_the_same():
    written = torch.tensor([torch.nan, 1.0])
    found = Replays(lambda work: work)
    for _ in range(3):
        found.run("a", lambda: written.add_(1.0), [written])
    assert written[1] == 4
    assert found._recordings["a"] is not None


class Graph:
    """What torch's graph is to a pool: something that lives for a while."""


def test_graphs_share_a_pool_until_none_is_left() -> None:
    """torch refuses a graph of a pool whose last graph is gone."""
    pools = Pools(iter(range(9)).__next__)
    first, second = Graph(), Graph()
    assert [pools.of(first), pools.of(second)] == [0, 0]
    del first
    third = Graph()
    assert pools.of(third) == 0, "the second one still lives"
    del second, third
    assert pools.of(Graph()) == 1
    assert pools.of(Graph()) == 2, "none of its graphs lives any more"
