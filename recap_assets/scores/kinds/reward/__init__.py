"""A score that was learned from preferences."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recap_assets.scores.kind import OwnScores
from recap_assets.specs.base import Name
from recap_assets.specs.references import Reference

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class RewardScorer(OwnScores):
    """How much a text is preferred for its image, by a model of kind preference trained here.

    Higher is better, on a scale of its own: the sigmoid of a difference is the probability that one
    text is preferred to the other (Compress & Align, arXiv 2312.06726).
    """

    example = """\
referee: {kind: reward, model: referee}   # a model of the kind preference
"""
    bounded = False
    framework = "numpy"
    score_is = "reward of image and caption"

    kind: Literal["reward"]
    model: Name = Field(description="A model of kind preference in this experiment.")

    def refers(self) -> Iterator[Reference]:
        """The model."""
        yield from super().refers()
        yield Reference("model", self.model, "models", "preference")

    def nodes(self, name: str, source: str, project: "Project") -> "list[Node]":
        """The scores."""
        from recap_assets.scores.kinds.reward.assets import nodes_of

        return nodes_of(project, name, source, self)
