"""Choosing assets by patterns: `curated_mixes/*`, `stage:captions`, `+leaderboard`, `raw_pool+`."""

from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase

from recap_assets.graph.node import Graph
from recap_assets.untrusted.errors import RecapError

STAGE = "stage:"
NAMED_IN_FILES = ("curated_mixes", "synthetic_captions", "models", "uid_sets", "exports")
"""What an experiment file gives a name: a name alone means one of these before what is made of it,
such as a mix before its training."""


class SelectionError(RecapError, ValueError):
    """A pattern chooses nothing; the text names it and what can be chosen."""


def select_assets(graph: Graph, patterns: Iterable[str]) -> frozenset[str]:
    """The assets that any of the patterns chooses.

    Args:
        graph: The assets that there are.
        patterns: Asset keys, or their ends where only one fits, with `*` and `?` standing for any
            letters and any one letter; `stage:NAME` for all of a stage; a `+` before a pattern adds
            all that they read, one after it all that read them.

    Raises:
        SelectionError: A pattern chooses no asset.
    """
    return frozenset(key for pattern in patterns for key in _chosen(graph, pattern))


def asset_named(graph: Graph, name: str) -> str:
    """The asset that a key, or the end of one, means: `raw_top30` for `curated_mixes/raw_top30`.

    Returns:
        The asset's key; what no asset is called as it is, since it may have left the experiment.

    Raises:
        SelectionError: Several may be meant.
    """
    if name in graph.nodes:
        return name
    ends = [key for key in graph.nodes if key.endswith(f"/{name}")]
    meant = [key for key in ends if key.partition("/")[0] in NAMED_IN_FILES] or ends
    if len(meant) > 1:
        msg = f"{name} may be any of {', '.join(meant)}: write which"
        raise SelectionError(msg)
    return meant[0] if meant else name


def near_assets(graph: Graph, name: str) -> str:
    """What of the experiment is called nearly so, to be said behind an error; "" for nothing."""
    in_order = sorted(graph.nodes, key=lambda key: key.partition("/")[0] in NAMED_IN_FILES)
    by_end = {key.rpartition("/")[2]: key for key in in_order}
    close = get_close_matches(name, [*graph.nodes, *by_end], n=3)
    known = dict.fromkeys(by_end.get(one, one) for one in close)
    return f"; there is {', '.join(known)}" if known else "; `recap status` lists the assets"


def _chosen(graph: Graph, pattern: str) -> set[str]:
    core = pattern.removeprefix("+").removesuffix("+")
    if core.startswith(STAGE):
        stage = core.removeprefix(STAGE)
        found = {node.key for node in graph.nodes.values() if node.stage == stage}
    else:
        found = {key for key in graph.nodes if fnmatchcase(key, asset_named(graph, core))}
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
