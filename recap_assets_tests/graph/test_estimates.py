"""What a plan will cost is told from what building took before."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from recap_assets.graph.estimates import Cost, Estimates, Pace, typical_pace
from recap_assets.graph.node import Graph, Node, Outcome
from recap_assets.graph.records import Inputs, Record
from recap_assets.graph.reuse import Counts
from recap_assets_tests.tiny import Memory


def node(key: str, seconds: float) -> Node:
    return Node(
        key=key,
        stage=key.partition("/")[0],
        dimension="pool",
        dependencies=(),
        implementation=1,
        decides="{}",
        compute=lambda _step: Outcome("", 0),
        description="",
        seconds=seconds,
    )


def built(seconds: float, gpu_seconds: float = 0.0, n_bytes: int = 0) -> Record:
    return Record(
        "v", "c", Inputs((), ()), 1, seconds=seconds, gpu_seconds=gpu_seconds, n_bytes=n_bytes
    )


def estimates_of(records: Mapping[str, dict[str, Record]]) -> Estimates:
    seconds = {"captions/a": 7.0, "captions/b": 7.0, "captions/larger": 21.0, "scores/a": 5.0}
    nodes = [node(key, guess) for key, guess in seconds.items()]
    memory = Memory()
    memory.records.update(records)
    return Estimates(Graph(nodes, lambda _kind: ("0", "1", "2", "3")), memory)


@pytest.fixture
def estimates() -> Estimates:
    captions = {"0": built(2.0, 2.0, 100), "1": built(4.0, 4.0, 300), "2": built(0.0)}
    return estimates_of({"captions/a": captions})


def test_a_partition_costs_what_it_cost_last(estimates: Estimates) -> None:
    assert estimates.of("captions/a", "1") == Cost(4.0, 4.0, 300)


def test_a_new_partition_costs_the_mean_of_those_that_were_computed(estimates: Estimates) -> None:
    assert estimates.of("captions/a", "3") == Cost(3.0, 3.0, 200)
    assert estimates.of("captions/a", "2") == Cost(3.0, 3.0, 200)


def test_a_new_asset_costs_what_its_kind_costs(estimates: Estimates) -> None:
    assert estimates.of("captions/b", "0") == Cost(3.0, 3.0, 200, is_guess=True)


def test_a_new_asset_that_is_to_do_more_takes_as_much_longer(estimates: Estimates) -> None:
    assert estimates.of("captions/larger", "0") == Cost(9.0, 9.0, 200, is_guess=True)


def test_a_guess_for_some_images_is_scaled_to_the_partitions_of_the_pool() -> None:
    scaled = replace(node("captions/a", 7.0), seconds_are_of=1_000)
    memory = Memory()
    graph = Graph([scaled, node("scores/a", 5.0)], lambda _kind: ("0", "1"))
    assert Estimates(graph, memory).of("captions/a", "0") == Cost(7.0, is_guess=True)
    pool = built(1.0)
    memory.records["raw_pool"] = {
        "0": replace(pool, n_rows=6_000), "1": replace(pool, n_rows=2_000)
    }  # fmt: skip
    known = Estimates(graph, memory)
    assert known.of("captions/a", "0") == Cost(28.0, is_guess=True)
    assert known.of("scores/a", "0") == Cost(5.0, is_guess=True)
    memory.records["raw_pool"] = {"0": replace(pool, n_rows=3)}
    assert Estimates(graph, memory).of("captions/a", "0") == Cost(1.0, is_guess=True)


def test_without_a_history_the_stage_guesses() -> None:
    estimates = Estimates(Graph([node("scores/a", 5.0)], lambda _kind: ("0",)), Memory())
    assert estimates.of("scores/a", "0") == Cost(5.0, is_guess=True)
    assert estimates.is_unmeasured("scores/a")


def test_what_nobody_measured_is_as_slow_as_the_rest_was_here(estimates: Estimates) -> None:
    # The captions took 3 of 7 guessed seconds, which makes nothing else quick.
    assert estimates.of("scores/a", "0") == Cost(5.0, is_guess=True)
    slow = estimates_of({"captions/a": {"0": built(28.0), "1": built(28.0)}})
    assert slow.of("scores/a", "0") == Cost(20.0, is_guess=True)
    assert estimates.is_unmeasured("scores/a")
    assert not estimates.is_unmeasured("captions/a")
    assert not estimates.is_unmeasured("captions/b"), "one of its kind was"


@pytest.mark.parametrize(
    ("paces", "typical"),
    [
        ([], 1.0),
        ([(5.0, 20.0)], 4.0),
        # A large model says nothing of the machine, where other things were measured.
        ([(3.0, 600.0), (2.0, 4.0), (3.0, 6.0)], 2.0),
        ([(0.2, 0.01), (16.0, 64.0), (0.3, 0.02)], 4.0),
        ([(0.0, 7.0)], 1.0),
        ([(2.0, 0.1)], 1.0),
    ],
)
def test_the_typical_pace_is_that_of_most_of_the_guessed_seconds(
    paces: list[tuple[float, float]], typical: float
) -> None:
    assert typical_pace([Pace(*one) for one in paces]) == pytest.approx(typical)


def test_what_is_reused_takes_no_time(estimates: Estimates) -> None:
    estimates.counts = {("captions/a", "1"): Counts(1, 3), ("captions/a", "3"): Counts(0, 4)}
    assert estimates.of("captions/a", "1") == Cost(1.0, 1.0, 300)
    assert estimates.of("captions/a", "3") == Cost(0.0, 0.0, 200)
    assert estimates.of("captions/a", "0") == Cost(2.0, 2.0, 100)


def test_costs_add_up(estimates: Estimates) -> None:
    several = [("captions/a", "0"), ("captions/a", "1"), ("scores/a", "0")]
    assert estimates.of_all(several) == Cost(11.0, 6.0, 400, is_guess=True)
