"""A change makes out of date what depends on it, and nothing else."""

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pytest

from recap_assets.artefacts.table import Table
from recap_assets.graph.building import UpstreamMissingError, build_partition
from recap_assets.graph.node import Dependency, Graph, Look, Node, Outcome, Place, Step
from recap_assets.graph.planner import plan, why
from recap_assets_tests.tiny import Memory

PARTITIONS = ("00000", "00001", "00002")


class Looks:
    """The storage of the world is the world."""

    def last_of(self, table: Table, leading: tuple[str, ...]) -> Collection[str]:
        raise AssertionError(table, leading)

    lost_of = last_of


@dataclass(frozen=True)
class Kept:
    """Content of one node of the world."""

    world: "World"
    key: str

    def present(self, look: Look) -> Collection[str]:  # noqa: ARG002
        return self.world.present(self.key)

    def places(self, partition: str) -> tuple[Place, ...]:  # noqa: ARG002
        return ()

    def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:
        raise NotImplementedError


class World(Memory):
    """A small graph whose computations are counted: pool -> a, b -> threshold -> mix -> clip."""

    def __init__(self) -> None:
        super().__init__()
        self.computed: list[tuple[str, str]] = []
        self.specs = dict.fromkeys(("pool", "a", "b", "threshold", "mix", "clip"), "1")
        self.content: dict[tuple[str, str], str] = {}
        self.shards = dict.fromkeys(PARTITIONS, "v1")
        self.gone: set[tuple[str, str]] = set()
        self.told: dict[str, float] = {}
        self.unfinished: dict[str, float] = {}

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
                implementation=1,
                decides=json.dumps({"size": self.specs[key]}),
                compute=lambda step, key=key: self.compute(key, step),
                description="",
                outside=(lambda partition: self.shards[partition]) if key == "pool" else None,
                content=Kept(self, key),
            )
            for key, reads in edges.items()
        ]
        partitions = lambda kind: tuple(self.shards) if kind == "pool" else ("0",)  # noqa: E731
        return Graph(nodes, partitions, look=Looks, unfinished=lambda: self.unfinished)

    def present(self, key: str) -> set[str]:
        return {p for p in (*self.shards, "0", "") if (key, p) not in self.gone}

    def compute(self, key: str, step: Step) -> Outcome:
        self.computed.append((key, step.partition))
        self.gone.discard((key, step.partition))
        default = f"{key} {step.partition} {self.specs[key]} {self.shards.get(step.partition)}"
        version = self.content.get((key, step.partition), default)
        return Outcome(version, n_rows=1, facts=self.told)

    def build(self) -> list[tuple[str, str]]:
        self.computed = []
        while ready := plan(self.graph, self).ready:
            entry = ready[0]
            graph = self.graph
            node = graph.nodes[entry.asset]
            self.keep(node, entry.partition, build_partition(graph, self, node, entry.partition))
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
    assert by_asset["pool"].reason == "size 1 → 2"
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
        world.keep(world.graph.nodes["pool"], step.partition, new)
        return Outcome("a of the old pool", 1)

    node = graph.nodes["a"]
    object.__setattr__(node, "compute", racing)
    built = build_partition(graph, world, node, "00000", force=True)
    world.keep(node, "00000", built)
    stale = [(e.asset, e.partition) for e in plan(world.graph, world).entries]
    assert ("a", "00000") in stale


def reasons(world: World) -> dict[tuple[str, str], str]:
    entries = plan(world.graph, world).entries
    return {(e.asset, e.partition): e.reason for e in entries if e.state == "ready"}


def test_a_reason_names_what_was_edited(world: World) -> None:
    world.specs["b"] = "2"
    assert set(reasons(world).values()) == {"size 1 → 2"}


def test_a_reason_counts_what_is_new_and_what_changed(world: World) -> None:
    world.shards["00003"] = "v1"
    build_only(world, "pool", "a", "b")
    assert reasons(world)["threshold", ""] == "a: 1 new partitions"
    world.build()
    world.specs["a"] = "2"
    build_only(world, "a")
    assert reasons(world)["threshold", ""] == "a: 4 of 4 partitions changed"


def test_a_reason_tells_how_a_threshold_moved(world: World) -> None:
    world.specs["threshold"] = "2"
    world.content["threshold", ""] = "low"
    world.told = {"rules.0": 0.2812}
    world.build()
    world.specs["threshold"] = "3"
    world.content["threshold", ""] = "high"
    world.told = {"rules.0": 0.2815}
    build_only(world, "threshold")
    assert reasons(world)["mix", "00000"] == "threshold: rules.0 0.2812 → 0.2815"


def test_why_walks_from_what_waits_to_what_changed(world: World) -> None:
    world.specs["pool"] = "2"
    current = plan(world.graph, world)
    lines = why(world.graph, current, "a", "00001")
    assert lines == ["a[00001]: upstream will change: pool", "  pool[00001]: size 1 → 2"]
    world.build()
    current = plan(world.graph, world)
    assert why(world.graph, current, "a", "00001") == ["a[00001] is up to date"]


def build_only(world: World, *assets: str) -> None:
    """Build what is ready of some assets."""
    while ready := [e for e in plan(world.graph, world).ready if e.asset in assets]:
        graph = world.graph
        node = graph.nodes[ready[0].asset]
        built = build_partition(graph, world, node, ready[0].partition)
        world.keep(node, ready[0].partition, built)


def test_an_interrupted_build_is_made_again_though_its_record_fits(world: World) -> None:
    # Killed after the table's commit and before its event, and then the edit was taken back.
    began = time.time() + 1
    world.unfinished = {"mix[00001]": began}
    entries = plan(world.graph, world).entries
    assert [(e.name, e.state, e.reason) for e in entries if e.asset == "mix"] == [
        ("mix[00001]", "ready", "its last build was interrupted")
    ]
    world.computed = []
    graph = world.graph
    built = build_partition(graph, world, graph.nodes["mix"], "00001", interrupted=began)
    assert (built.reused, world.computed) == (False, [("mix", "00001")])


def test_a_build_cut_off_after_its_record_is_done(world: World) -> None:
    # Killed after its event and before it let go of the claim.
    world.unfinished = {"mix[00001]": time.time() - 3_600}
    assert plan(world.graph, world).entries == ()
    graph = world.graph
    began = world.unfinished["mix[00001]"]
    built = build_partition(graph, world, graph.nodes["mix"], "00001", interrupted=began)
    assert built.reused
