"""The lineage of an asset as a graph to walk, with what each part was built from."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.assembly.graph import build_graph
from recap_assets.graph.node import Node
from recap_assets.lineage.origin import Origin
from recap_assets.lineage.pins import receipts_of
from recap_assets.lineage.rows import LineageError
from recap_assets.lineage.walk import lineage_of
from recap_assets.lineage.words import STATES_SHOWN, headline, state_lines
from recap_assets.look import asking
from recap_assets.look.gallery import Gallery, gallery_of
from recap_assets.look.page import rendered
from recap_assets.plots.layout import BOX_HEIGHT, BOX_WIDTH, Layout, layout
from recap_assets.untrusted.showing import one_line

MOST_BOXES = 250
"""Assets of one picture; a larger graph is shown as the list of what was read directly."""


def lineage(request: Request) -> Response:
    """The page of one asset."""
    gallery = gallery_of(request)
    graph = build_graph(gallery.project)
    first = CURATED_MIXES.key(next(iter(gallery.project.experiment.mixes)))
    asset = asking.chosen(request, "asset", graph.nodes.keys(), first)
    origin = _origin(gallery, asset)
    node = graph.nodes[asset]
    readers = [one.key for one in graph.nodes.values() if asset in _reads(one)]
    return rendered(
        request,
        "lineage.html.jinja",
        title=asset,
        asset=asset,
        assets=list(graph.nodes),
        description=node.description,
        reads=sorted(_reads(node)),
        readers=readers,
        box=(BOX_WIDTH, BOX_HEIGHT),
        **_shown(origin),
    )


def _reads(node: Node) -> set[str]:
    return {dependency.asset for dependency in node.dependencies}


def _origin(gallery: Gallery, asset: str) -> Origin | str:
    """Where it comes from, or why nothing is known of that."""
    try:
        return lineage_of(receipts_of(gallery.project.workspace, asset), asset)
    except LineageError as error:
        return one_line(str(error.args[0]))


def _shown(origin: Origin | str) -> dict[str, Any]:
    if isinstance(origin, str):
        return {"problem": origin, "picture": None, "states": (), "headline": ""}
    root = origin.root
    states = [
        {"n": len(state.partitions), "lines": list(state_lines(state))}
        for state in root.states[:STATES_SHOWN]
    ]
    return {
        "problem": "",
        "picture": _picture(origin),
        "states": states,
        "headline": headline(root),
    }


def _picture(origin: Origin) -> Layout | None:
    if len(origin.ancestors) > MOST_BOXES:
        return None
    known = origin.ancestors.keys()
    return layout(
        {
            name: [one for one in ancestor.reads if one in known]
            for name, ancestor in origin.ancestors.items()
        }
    )


ROUTES = (Route("/lineage", lineage),)
