"""A score that was learned from preferences."""

from typing import TYPE_CHECKING

from recap_assets.scores.kinds.reward.spec import RewardSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class RewardScorer(RewardSpec):
    """How much a text is preferred for its image, by a model of kind preference trained here.

    Higher is better, on a scale of its own: the sigmoid of a difference is the probability that one
    text is preferred to the other (Compress & Align, arXiv 2312.06726).
    """

    def nodes(self, name: str, source: str, project: "Project") -> "list[Node]":
        """The scores."""
        from recap_assets.scores.kinds.reward.assets import nodes_of

        return nodes_of(project, name, source, self)
