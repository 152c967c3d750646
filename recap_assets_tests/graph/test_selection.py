"""Patterns choose assets by key, by stage, and along the edges."""

import pytest

from recap_assets.graph.node import Dependency, Graph, Node, Outcome
from recap_assets.graph.selection import SelectionError, asset_named, near_assets, select_assets

EDGES = {"pool": (), "captions/a": ("pool",), "captions/b": ("pool",), "mix/x": ("captions/a",)}


@pytest.fixture
def graph() -> Graph:
    return graph_of(**EDGES)


def graph_of(*keys: str, **edges: tuple[str, ...]) -> Graph:
    nodes = [
        Node(
            key=key,
            stage=key.partition("/")[0],
            dimension="none",
            dependencies=tuple(Dependency(read, "all") for read in reads),
            implementation=1,
            decides="{}",
            compute=lambda _step: Outcome("", 0),
            description="",
        )
        for key, reads in {**dict.fromkeys(keys, ()), **edges}.items()
    ]
    return Graph(nodes, lambda _kind: ())


@pytest.mark.parametrize(
    ("pattern", "chosen"),
    [
        ("mix/x", {"mix/x"}),
        ("captions/*", {"captions/a", "captions/b"}),
        ("stage:captions", {"captions/a", "captions/b"}),
        ("+mix/x", {"mix/x", "captions/a", "pool"}),
        ("captions/a+", {"captions/a", "mix/x"}),
        ("+captions/?+", {"pool", "captions/a", "captions/b", "mix/x"}),
    ],
)
def test_a_pattern_chooses(graph: Graph, pattern: str, chosen: set[str]) -> None:
    assert select_assets(graph, [pattern]) == chosen


def test_patterns_add_up(graph: Graph) -> None:
    assert select_assets(graph, ["pool", "mix/*"]) == {"pool", "mix/x"}


def test_a_pattern_that_chooses_nothing_is_refused_in_words(graph: Graph) -> None:
    with pytest.raises(SelectionError, match=r"--select captions/z: .*captions/a.*stage:mix"):
        select_assets(graph, ["captions/z"])


@pytest.mark.parametrize(
    ("name", "key"),
    [("x", "mix/x"), ("captions/a", "captions/a"), ("a", "captions/a"), ("pool", "pool"),
     ("gone", "gone"), ("aptions/a", "aptions/a")],
)  # fmt: skip
def test_the_end_of_a_key_means_its_asset(graph: Graph, name: str, key: str) -> None:
    assert asset_named(graph, name) == key
    if key in graph.nodes:
        assert select_assets(graph, [f"{name}+"]) == select_assets(graph, [f"{key}+"])


def test_a_name_of_the_file_means_that_before_what_is_made_of_it() -> None:
    graph = graph_of("curated_mixes/m", "trained_clip/m", "evaluation_results/m", "x/1/m", "x/2/m")
    assert asset_named(graph, "m") == "curated_mixes/m"
    with pytest.raises(SelectionError, match="m may be any of curated_mixes/m, models/m: write"):
        asset_named(graph_of("curated_mixes/m", "models/m", "trained_clip/m"), "m")
    with pytest.raises(SelectionError, match="may be any of x/1/n, x/2/n"):
        asset_named(graph_of("x/1/n", "x/2/n"), "n")


def test_what_is_called_nearly_so_is_named_whole() -> None:
    graph = graph_of("curated_mixes/raw_top30", "pool")
    assert near_assets(graph, "raw_top3") == "; there is curated_mixes/raw_top30"
    assert "recap status" in near_assets(graph, "zzzz")
