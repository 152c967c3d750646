"""Choosing assets by patterns: `curated_mixes/*`, `stage:captions`, `+leaderboard`, `raw_pool+`."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from recap_assets.graph.node import Graph
from recap_assets.untrusted.errors import RecapError

STAGE = "stage:"


class SelectionError(RecapError, ValueError):
    """A pattern chooses nothing; the text names it and what can be chosen."""


def select_assets(graph: Graph, patterns: Iterable[str]) -> frozenset[str]:
    """The assets that any of the patterns chooses.

    Args:
        graph: The assets that there are.
        patterns: Asset keys, with `*` and `?` standing for any letters and any one letter;
            `stage:NAME` for all of a stage; a `+` before a pattern adds all that they read, one
            after it all that read them.

    Raises:
        SelectionError: A pattern chooses no asset.
    """
    return frozenset(key for pattern in patterns for key in _chosen(graph, pattern))


def _chosen(graph: Graph, pattern: str) -> set[str]:
    core = pattern.removeprefix("+").removesuffix("+")
    if core.startswith(STAGE):
        stage = core.removeprefix(STAGE)
        found = {node.key for node in graph.nodes.values() if node.stage == stage}
    else:
        found = {key for key in graph.nodes if fnmatchcase(key, core)}
    if not found:
        stages = dict.fromkeys(node.stage for node in graph.nodes.values())
        msg = (
            f"--select {pattern}: chooses nothing. Assets are {', '.join(graph.nodes)}; "
            f"stages are {', '.join(f'{STAGE}{stage}' for stage in stages)}"
        )
        raise SelectionError(msg)
    upstream = graph.ancestors(found) if pattern.startswith("+") else set[str]()
    downstream = graph.descendants(found) if pattern.endswith("+") else set[str]()
    return found | upstream | downstream
