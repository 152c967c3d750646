"""The parts of a longer text, each a candidate."""

from typing import TYPE_CHECKING

from recap_assets.captions.kinds.split.spec import SplitSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class SplitSource(SplitSpec):
    """The sentences of another source's texts, or of a column of the pool, each a candidate.

    DreamLIP takes sub-captions of long captions so. An image without a text is set aside with the
    reason `without_SOURCE`, one whose text has no words with `no_words`.
    """

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """One asset."""
        from recap_assets.captions.kinds.split.assets import node_of

        return [node_of(project, name, self)]
