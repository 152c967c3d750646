"""How each mix is built: the assets that it rests on, as a picture from left to right."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from recap_assets.artefacts import CURATED_MIXES
from recap_assets.graph.node import Graph
from recap_assets.plots.layout import Layout, layout
from recap_assets.report.contents import Ancestry

MOST_MIXES = 12
"""Pictures of the page; how many more mixes there are is said."""

MOST_BOXES = 60
"""Assets of one picture; a larger one is for the gallery."""


@dataclass(frozen=True)
class Picture:
    """The picture of a mix."""

    mix: str
    asset: str
    layout: Layout


def ancestries(graph: Graph, mixes: Collection[str]) -> tuple[Ancestry, ...]:
    """How some mixes are built.

    Args:
        graph: The experiment's.
        mixes: Names of mixes.
    """
    return tuple(Ancestry(mix, _reads(graph, CURATED_MIXES.key(mix))) for mix in mixes)


def _reads(graph: Graph, asset: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    waiting = [asset]
    while waiting:
        name = waiting.pop()
        if name not in found:
            read = [dependency.asset for dependency in graph.nodes[name].dependencies]
            found[name] = tuple(dict.fromkeys(read))
            waiting += read
    return found


def pictures(found: Collection[Ancestry]) -> list[Picture]:
    """The pictures of those that are not too large for one."""
    small = [one for one in found if len(one.reads) <= MOST_BOXES]
    return [Picture(one.mix, CURATED_MIXES.key(one.mix), layout(one.reads)) for one in small]


def stages_of(graph: Graph) -> Mapping[str, str]:
    """The stage of each asset, by the first part of its key, in the pipeline's order."""
    return {node.key.partition("/")[0]: node.stage for node in graph.nodes.values()}
