"""Links of materializations to pages beside Dagster's own: the gallery's and the report.

`recap ui` serves both below the server's own address, wherever that is: an event stays, while
hosts and ports change.
"""

from urllib.parse import quote

import dagster as dg

from recap_assets.graph.node import Node

REPORT_PAGE = "/recap/report"
GALLERY_PAGES = "/recap/look"

_PAGES = {
    "raw_pool": "/",
    "synthetic_captions": "/sources",
    "clip_scores": "/sources",
    "thresholds": "/thresholds",
    "leaderboard": "/results",
    "evaluation_results": "/results",
}
"""The gallery's page of an asset, by the first part of its key; others have their lineage."""


def links_of(node: Node) -> dict[str, dg.MetadataValue]:
    """What a user of the UI can click at the asset."""
    artefact = node.key.partition("/")[0]
    page = _PAGES.get(artefact, f"/lineage?asset={quote(node.key, safe='')}")
    return {
        "gallery": dg.MetadataValue.url(f"{GALLERY_PAGES}{page}"),
        "report": dg.MetadataValue.url(REPORT_PAGE),
    }
