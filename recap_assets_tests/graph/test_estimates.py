"""What a plan will cost is told from what building took before."""

from collections.abc import Mapping

import pytest

from recap_assets.graph.estimates import Cost, Estimates
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


@pytest.fixture
def estimates() -> Estimates:
    nodes = [node("captions/a", 7.0), node("captions/b", 7.0), node("scores/a", 5.0)]
    memory = Memory()
    records: Mapping[str, dict[str, Record]] = {
        "captions/a": {"0": built(2.0, 2.0, 100), "1": built(4.0, 4.0, 300), "2": built(0.0)},
    }
    memory.records.update(records)
    return Estimates(Graph(nodes, lambda _kind: ("0", "1", "2", "3")), memory)


def test_a_partition_costs_what_it_cost_last(estimates: Estimates) -> None:
    assert estimates.of("captions/a", "1") == Cost(4.0, 4.0, 300)


def test_a_new_partition_costs_the_mean_of_those_that_were_computed(estimates: Estimates) -> None:
    assert estimates.of("captions/a", "3") == Cost(3.0, 3.0, 200)
    assert estimates.of("captions/a", "2") == Cost(3.0, 3.0, 200)


def test_a_new_asset_costs_what_its_kind_costs(estimates: Estimates) -> None:
    assert estimates.of("captions/b", "0") == Cost(3.0, 3.0, 200, is_guess=True)


def test_without_a_history_the_stage_guesses(estimates: Estimates) -> None:
    assert estimates.of("scores/a", "0") == Cost(5.0, is_guess=True)


def test_what_is_reused_takes_no_time(estimates: Estimates) -> None:
    estimates.counts = {("captions/a", "1"): Counts(1, 3), ("captions/a", "3"): Counts(0, 4)}
    assert estimates.of("captions/a", "1") == Cost(1.0, 1.0, 300)
    assert estimates.of("captions/a", "3") == Cost(0.0, 0.0, 200)
    assert estimates.of("captions/a", "0") == Cost(2.0, 2.0, 100)


def test_costs_add_up(estimates: Estimates) -> None:
    several = [("captions/a", "0"), ("captions/a", "1"), ("scores/a", "0")]
    assert estimates.of_all(several) == Cost(11.0, 6.0, 400, is_guess=True)
