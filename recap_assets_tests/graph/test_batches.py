"""Batches hold exactly what is ready, in groups that one run can build."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from recap_assets.graph.batches import (
    TOGETHER_SECONDS,
    Batch,
    batches_of,
    neighbours,
    seconds_after,
)
from recap_assets.graph.node import Dependency, Dimension, Graph, Node, Outcome
from recap_assets.graph.planner import OutOfDate

ORDER = tuple(f"{i:05d}" for i in range(8))
SEEDS = ("0", "1", "2")
SHAPE: Mapping[str, tuple[Dimension, tuple[str, ...]]] = {
    "corpus": ("none", ()),
    "pool": ("pool", ()),
    "model": ("none", ("corpus",)),
    "captions": ("pool", ("pool", "model")),
    "scores": ("pool", ("pool",)),
    "mix": ("pool", ("captions", "scores")),
    "clip": ("seed", ("mix",)),
    "other_clip": ("seed", ("mix",)),
}

wanted = st.lists(st.sampled_from(ORDER), unique=True)
some_seconds = st.lists(
    st.sampled_from([0.01, 1.0, 4.0, 30.0]), min_size=len(SHAPE), max_size=len(SHAPE)
)


def graph_of(seconds: list[float]) -> Graph:
    nodes = [
        Node(
            key=key,
            stage="test",
            dimension=dimension,
            dependencies=tuple(Dependency(name, "all") for name in reads),
            implementation=1,
            decides="{}",
            compute=lambda _step: Outcome("", 0),
            description="",
            seconds=own,
        )
        for (key, (dimension, reads)), own in zip(SHAPE.items(), seconds, strict=True)
    ]
    return Graph(nodes, lambda kind: ORDER if kind == "pool" else SEEDS)


@st.composite
def ready_of(draw: st.DrawFn) -> tuple[Graph, list[OutOfDate]]:
    graph = graph_of(draw(some_seconds))
    keys = [(n.key, p) for n in graph.nodes.values() for p in graph.partitions(n)]
    chosen = draw(st.lists(st.sampled_from(keys), unique=True))
    return graph, [OutOfDate(asset, partition, "ready", "") for asset, partition in chosen]


@given(wanted, st.none() | st.integers(1, 4))
def test_neighbours_are_all_there_once_without_gaps(wanted: list[str], most: int | None) -> None:
    groups = list(neighbours(ORDER, wanted, most))
    assert [key for group in groups for key in group] == sorted(wanted)
    for group in groups:
        start = ORDER.index(group[0])
        assert group == ORDER[start : start + len(group)]
        assert most is None or len(group) <= most


@given(wanted)
def test_no_two_groups_of_neighbours_could_be_one(wanted: list[str]) -> None:
    groups = list(neighbours(ORDER, wanted))
    for one, following in pairwise(groups):
        assert ORDER.index(following[0]) > ORDER.index(one[-1]) + 1


@given(ready_of(), st.integers(1, 4))
def test_batches_hold_exactly_what_is_ready_each_once(
    case: tuple[Graph, list[OutOfDate]], jobs: int
) -> None:
    graph, ready = case
    found = batches_of(graph, ready, jobs)
    keys = [key for batch in found for key in batch.keys]
    assert sorted(keys) == sorted((entry.asset, entry.partition) for entry in ready)


@given(ready_of(), st.integers(1, 4))
def test_a_batch_is_what_one_run_can_build(case: tuple[Graph, list[OutOfDate]], jobs: int) -> None:
    graph, ready = case
    for batch in batches_of(graph, ready, jobs):
        (dimension,) = {node.dimension for node in batch.nodes}
        order = graph.partitions(batch.nodes[0])
        start = order.index(batch.partitions[0])
        assert batch.partitions == order[start : start + len(batch.partitions)]
        assert len(batch.partitions) <= (-(-len(ORDER) // jobs) if dimension == "pool" else 1)
        assert len(batch.nodes) == 1 or batch.seconds <= TOGETHER_SECONDS


@given(ready_of(), st.integers(1, 4))
def test_what_most_work_waits_for_goes_first(
    case: tuple[Graph, list[OutOfDate]], jobs: int
) -> None:
    graph, ready = case
    waiting = seconds_after(graph, lambda asset: graph.nodes[asset].seconds)

    def ahead(batch: Batch) -> float:
        return batch.seconds + max(waiting[node.key] for node in batch.nodes)

    found = [ahead(batch) for batch in batches_of(graph, ready, jobs)]
    assert found == sorted(found, reverse=True)


def test_the_longest_chain_counts_every_partition_of_the_pool() -> None:
    after = seconds_after(graph_of([1.0] * len(SHAPE)), lambda _asset: 1.0)
    assert after["clip"] == 0
    assert after["mix"] == 1
    assert after["pool"] == len(ORDER) + after["captions"] == 2 * len(ORDER) + after["mix"]


def test_a_batch_is_named_by_its_assets_and_its_range() -> None:
    graph = graph_of([1.0] * len(SHAPE))
    pool, captions, scores = (graph.nodes[key] for key in ("pool", "captions", "scores"))
    assert Batch((pool,), ("00000", "00001", "00002")).name == "pool [00000 ... 00002]"
    assert Batch((pool, captions, scores), ("00001",)).name == "pool, captions and 1 more [00001]"
    assert Batch((graph.nodes["corpus"],), ("",)).name == "corpus"


def test_what_is_computed_on_gpus_is_batched_apart_and_shared_by_their_workers() -> None:
    graph = graph_of([0.01] * len(SHAPE))
    for key, n_gpus in (("captions", 1), ("scores", None)):
        graph.nodes[key] = replace(graph.nodes[key], pool="gpu", n_gpus=n_gpus)
    ready = [
        OutOfDate(asset, partition, "ready", "")
        for asset in ("captions", "scores", "mix")
        for partition in ORDER
    ]
    found = batches_of(graph, ready, 2, n_gpus=4)
    on = {key: {b.n_gpus for b in found if key in {n.key for n in b.nodes}} for key in graph.nodes}
    assert (on["captions"], on["scores"], on["mix"]) == ({1}, {4}, {0})
    sizes = {key: [len(b.partitions) for b in found if b.nodes[0].key == key] for key in on}
    assert sizes["captions"] == [2, 2, 2, 2], "four workers of a GPU each"
    assert sizes["scores"] == [8], "one worker of all GPUs"
    assert {b.n_gpus for b in batches_of(graph, ready, 2)} == {0}, "a machine without any"
