"""A change makes out of date what depends on it, and nothing else."""

from collections.abc import Mapping

import pytest

from recap_assets.orchestration.building import UpstreamMissingError, build_partition
from recap_assets.orchestration.graph import Dependency, Graph, Node, Outcome, Step
from recap_assets.orchestration.planner import Record, plan

PARTITIONS = ("00000", "00001", "00002")


class World:
    """A small graph whose computations are counted: pool -> a, b -> threshold -> mix -> clip."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Record]] = {}
        self.computed: list[tuple[str, str]] = []
        self.specs = dict.fromkeys(("pool", "a", "b", "threshold", "mix", "clip"), "1")
        self.content: dict[tuple[str, str], str] = {}
        self.shards = dict.fromkeys(PARTITIONS, "v1")
        self.gone: set[tuple[str, str]] = set()

    def latest(self, asset: str) -> Mapping[str, Record]:
        return self.records.get(asset, {})

    @property
    def graph(self) -> Graph:
        same, everything = "same", "all"
        edges = {
            "pool": [],
            "a": [Dependency("pool", same)],
            "b": [Dependency("pool", same)],
            "threshold": [Dependency("a", everything)],
            "mix": [
                Dependency("threshold", everything),
                Dependency("a", same),
                Dependency("b", same),
            ],
            "clip": [Dependency("mix", everything)],
        }
        dimensions = {"threshold": "none", "clip": "seed"}
        nodes = [
            Node(
                key=key,
                stage="test",
                dimension=dimensions.get(key, "pool"),  # type: ignore[arg-type]
                dependencies=tuple(reads),
                code_version=f"{key} {self.specs[key]}",
                compute=lambda step, key=key: self.compute(key, step),
                description="",
                outside=(lambda partition: self.shards[partition]) if key == "pool" else None,
                present=lambda key=key: self.present(key),
            )
            for key, reads in edges.items()
        ]
        return Graph(nodes, lambda kind: tuple(self.shards) if kind == "pool" else ("0",))

    def present(self, key: str) -> set[str]:
        return {p for p in (*self.shards, "0", "") if (key, p) not in self.gone}

    def compute(self, key: str, step: Step) -> Outcome:
        self.computed.append((key, step.partition))
        self.gone.discard((key, step.partition))
        default = f"{key} {step.partition} {self.specs[key]} {self.shards.get(step.partition)}"
        return Outcome(self.content.get((key, step.partition), default), n_rows=1)

    def build(self) -> list[tuple[str, str]]:
        self.computed = []
        while ready := plan(self.graph, self).ready:
            entry = ready[0]
            graph = self.graph
            built = build_partition(graph, self, graph.nodes[entry.asset], entry.partition)
            self.records.setdefault(entry.asset, {})[entry.partition] = built.record
        return self.computed


@pytest.fixture
def world() -> World:
    world = World()
    assert len(world.build()) == 14
    return world


def test_nothing_changed_nothing_is_built(world: World) -> None:
    assert not plan(world.graph, world)
    assert world.build() == []


def test_a_changed_spec_rebuilds_its_asset_and_what_reads_it(world: World) -> None:
    world.specs["b"] = "2"
    # The mix is computed again, comes out equal, and so no CLIP is trained.
    assert {asset for asset, _ in world.build()} == {"b", "mix"}


def test_a_changed_spec_whose_content_changes_reaches_downstream(world: World) -> None:
    world.specs["a"] = "2"
    for partition in PARTITIONS:
        world.content["mix", partition] = f"other {partition}"
        world.content["threshold", ""] = "moved"
    assert {asset for asset, _ in world.build()} == {"a", "threshold", "mix", "clip"}


def test_equal_content_ends_the_rebuild(world: World) -> None:
    for partition in PARTITIONS:
        world.content["a", partition] = world.records["a"][partition].data_version
    world.specs["a"] = "2"
    assert world.build() == [("a", partition) for partition in PARTITIONS]


def test_a_changed_shard_rebuilds_its_partition_only(world: World) -> None:
    world.content["threshold", ""] = world.records["threshold"][""].data_version
    world.shards["00001"] = "v2"
    built = world.build()
    assert {(a, p) for a, p in built if a in ("pool", "a", "b", "mix")} == {
        (asset, "00001") for asset in ("pool", "a", "b", "mix")
    }
    assert ("threshold", "") in built


def test_a_new_shard_leaves_the_others_alone(world: World) -> None:
    world.content["threshold", ""] = world.records["threshold"][""].data_version
    world.shards["00003"] = "v1"
    built = world.build()
    assert {p for a, p in built if a in ("pool", "a", "b", "mix")} == {"00003"}


def test_a_slice_that_is_gone_is_built_again(world: World) -> None:
    world.gone.add(("b", "00002"))
    entries = plan(world.graph, world).entries
    assert [(e.asset, e.partition) for e in entries if e.state == "ready"] == [("b", "00002")]
    assert "gone" in entries[0].reason
    assert world.build() == [("b", "00002")]


def test_what_waits_is_blocked_and_says_for_what(world: World) -> None:
    world.specs["pool"] = "2"
    by_asset = {entry.asset: entry for entry in plan(world.graph, world).entries}
    assert by_asset["pool"].state == "ready"
    assert "spec or code" in by_asset["pool"].reason
    assert by_asset["a"].state == "blocked"
    assert by_asset["a"].reason == "upstream will change: pool"


def test_an_up_to_date_partition_costs_no_computation(world: World) -> None:
    world.computed = []
    graph = world.graph
    built = build_partition(graph, world, graph.nodes["a"], "00000")
    assert (built.reused, world.computed) == (True, [])
    assert not build_partition(graph, world, graph.nodes["a"], "00000", force=True).reused
    assert world.computed == [("a", "00000")]


def test_a_partition_whose_input_was_never_built_is_refused_in_words() -> None:
    world = World()
    graph = world.graph
    with pytest.raises(UpstreamMissingError, match=r"mix\[00000\] reads .*never built"):
        build_partition(graph, world, graph.nodes["mix"], "00000")


def test_an_input_that_changes_while_it_is_read_is_rebuilt_once_more(world: World) -> None:
    graph = world.graph
    world.specs["pool"] = "2"

    def racing(step: Step) -> Outcome:
        # The pool is rebuilt while `a` is being computed from its old content.
        new = build_partition(world.graph, world, world.graph.nodes["pool"], step.partition)
        world.records["pool"][step.partition] = new.record
        return Outcome("a of the old pool", 1)

    node = graph.nodes["a"]
    object.__setattr__(node, "compute", racing)
    built = build_partition(graph, world, node, "00000", force=True)
    world.records["a"]["00000"] = built.record
    stale = [(e.asset, e.partition) for e in plan(world.graph, world).entries]
    assert ("a", "00000") in stale
