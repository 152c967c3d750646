"""Links of materializations to pages that `recap ui` serves beside Dagster's own."""

import dagster as dg

from recap_assets.artefacts.report import REPORT
from recap_assets.graph.node import Node

REPORT_PAGE = "/recap/report"


def links_of(node: Node) -> dict[str, dg.MetadataValue]:
    """What a user of the UI can click at the asset; below the server's own address."""
    if node.key == REPORT.key():
        return {"page": dg.MetadataValue.url(REPORT_PAGE)}
    return {}
