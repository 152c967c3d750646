"""Training in the process of the build."""

from typing import TYPE_CHECKING

from recap_assets.training.kind import Trained
from recap_assets.training.kinds.in_process.spec import InProcessSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Step
    from recap_assets.graph.project import Project


class InProcessTraining(InProcessSpec):
    """A fixed number of samples seen, whatever the mix's size (DataComp's rule)."""

    def train(self, project: "Project", mix: str, step: "Step") -> Trained:
        """Train on the mix's images, held in memory."""
        from recap_assets.training.kinds.in_process.running import train_in_memory

        return train_in_memory(project, self, mix, step)
