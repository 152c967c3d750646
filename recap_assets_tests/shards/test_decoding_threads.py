"""Things computed side by side come in their order, few of them ahead, with errors in place."""

import threading
import time

import pytest

from recap_assets.shards.decoding_threads import AHEAD, SideBySide
from recap_assets_tests.waiting import SECONDS, wait_for


@pytest.fixture(params=[1, 3])
def threads(request):
    one = SideBySide(request.param)
    yield one
    one.close()


def test_results_are_in_order(threads):
    def slow_where_even(n: int) -> int:
        time.sleep(0.005 * (n % 2 == 0))
        return n * n

    assert list(threads.map(slow_where_even, range(20))) == [n * n for n in range(20)]
    assert list(threads.map(slow_where_even, [])) == []


def test_few_are_taken_ahead():
    threads, taken = SideBySide(3), []
    results = threads.map(lambda n: n, (taken.append(n) or n for n in range(100)))
    assert next(results) == 0
    assert len(taken) == 3 * AHEAD
    results.close()
    threads.close()


def test_an_error_comes_in_the_place_of_its_result(threads):
    results = threads.map(lambda n: 6 // n, [3, 2, 0, 1])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_one_thread_is_the_callers():
    found = list(SideBySide(1).map(lambda _: threading.current_thread(), [0]))
    assert found == [threading.current_thread()]


def test_closing_drops_what_has_not_begun(monkeypatch):
    threads, begun = SideBySide(2), []
    gate, shutdown = threading.Event(), threads._pool.shutdown

    def wait(n: int) -> None:
        begun.append(n)
        gate.wait(SECONDS)

    def shut_down(**how: bool) -> None:
        shutdown(**how, wait=False)
        gate.set()
        shutdown()

    results = threads.map(wait, range(AHEAD * 2))
    thread = threading.Thread(target=lambda: next(results))
    thread.start()
    wait_for(lambda: len(begun) == 2, "both threads have something to do")
    monkeypatch.setattr(threads._pool, "shutdown", shut_down)
    threads.close()
    thread.join()
    assert len(begun) == 2
