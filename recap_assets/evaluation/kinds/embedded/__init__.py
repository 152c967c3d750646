"""Sets that the embedded world draws."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field

from recap_assets.evalsets.kind import Task
from recap_assets.evalsets.sets import EvaluationSet, load_set
from recap_assets.evalsets.webdatasets import Decode
from recap_assets.evaluation.kind import MadeHere
from recap_assets.specs.kinds import kind_named

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class EmbeddedTask(MadeHere):
    """A held-out set that the embedded world writes for itself.

    `composition`, `conditional`, `sentences` and `languages` are measured as the kinds of these
    names; docs/embedded_world.md says of each what is drawn, and where a small CLIP is at chance.
    """

    kind: Literal["embedded"]
    task: Literal[
        "fine", "tail", "coarse", "colour", "texture", "scene", "count", "fine_among_many",
        "fine_shifted", "retrieval", "composition", "conditional", "sentences", "languages",
    ]  # fmt: skip
    samples: int = Field(
        default=600, gt=0, le=1_000_000, description="Images of the set; pairs of `sentences`."
    )

    def open(self, made: Path, decode: Decode) -> EvaluationSet:
        """The set that was drawn."""
        like = self._like(str(made))
        return like.open(made, decode) if like else load_set(str(made), "test", decode)

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Those of the kind that it is measured as."""
        like = self._like("")
        return like.ranges if like else {}

    @property
    def passes_images_on(self) -> bool:
        """It does."""
        return True

    @property
    def is_drawn(self) -> bool:
        """It is."""
        return True

    def _like(self, path: str) -> Task | None:
        """The kind of task of a set's name, on the files in a folder; None where there is none."""
        kind = kind_named("tasks", self.task)
        if kind is None or kind.spec is None or not kind.is_ours:
            return None
        return cast("Task", kind.spec.model_validate({"kind": self.task, "path": path}))

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """The asset that draws it."""
        from recap_assets.evaluation.kinds.embedded.assets import node_of

        return [node_of(project, name, self, self.task, self.samples)]
