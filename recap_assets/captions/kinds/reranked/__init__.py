"""The best candidates of another caption source, as a source of its own."""

from typing import TYPE_CHECKING

from recap_assets.captions.kinds.reranked.spec import RerankedSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class RerankedSource(RerankedSpec):
    """The best candidates of another source by a scorer, renumbered from 0.

    Several in a row make a cascade: LAION-COCO's 40 candidates, of which CLIP L/14 keeps 5 and
    RN50x64 picks 1.
    """

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """One asset."""
        from recap_assets.captions.kinds.reranked.assets import node_of

        return [node_of(project, name, self)]
