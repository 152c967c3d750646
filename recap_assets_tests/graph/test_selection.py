"""Patterns choose assets by key, by stage, and along the edges."""

import pytest

from recap_assets.graph.node import Dependency, Graph, Node, Outcome
from recap_assets.graph.selection import SelectionError, select_assets

EDGES = {"pool": (), "captions/a": ("pool",), "captions/b": ("pool",), "mix/x": ("captions/a",)}


@pytest.fixture
def graph() -> Graph:
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
        for key, reads in EDGES.items()
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
