"""Sets that the embedded world draws."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recap_assets.evalsets.sets import EvaluationSet, load_set
from recap_assets.evalsets.webdatasets import Decode
from recap_assets.evaluation.kind import MadeHere

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class EmbeddedTask(MadeHere):
    """A held-out set that the embedded world writes for itself."""

    kind: Literal["embedded"]
    task: Literal[
        "fine", "tail", "coarse", "colour", "texture", "scene", "count", "fine_among_many",
        "fine_shifted", "retrieval",
    ]  # fmt: skip
    samples: int = Field(default=600, gt=0, le=1_000_000, description="Images of the set.")

    def open(self, made: Path, decode: Decode) -> EvaluationSet:
        """The set that was drawn."""
        return load_set(str(made), "test", decode)

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """The asset that draws it."""
        from recap_assets.evaluation.kinds.embedded.assets import node_of

        return [node_of(project, name, self, self.task, self.samples)]
