"""open_clip's own trainer, started by torchrun on exported shards."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from recap_assets.artefacts.training import TRAINING_SHARDS
from recap_assets.engines.trying import lacking
from recap_assets.specs.findings import Finding
from recap_assets.training.kind import Trained
from recap_assets.training.kinds.torchrun.spec import TorchrunSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node, Step
    from recap_assets.graph.project import Project


TRAINER_IMPORTS = ("pandas", "webdataset")
"""What of the extra open_clip's trainer imports whatever it is given."""


class TorchrunTraining(TorchrunSpec):
    """open_clip's own trainer on shards exported for it, with the recipe of a DataComp scale.

    What the recipe fixes may be overridden; what is said beside it changes the speed only.
    """

    def nodes(self, project: "Project") -> "list[Node]":
        """For each mix which exported shards are read."""
        from recap_assets.training.kinds.torchrun.shards import node_of

        return [node_of(project, mix) for mix in project.experiment.mixes]

    def reads(self, mix: str) -> Iterator[str]:
        """The shards."""
        yield TRAINING_SHARDS.key(mix)

    def train(self, project: "Project", mix: str, step: "Step") -> Trained:
        """Hand the mix's shards to open_clip's trainer; its figures go to the UI."""
        from recap_assets.training.kinds.torchrun.running import train_on_shards

        return train_on_shards(project, self, mix, step)

    def doctor(self, where: str) -> Iterator[Finding]:
        """Libraries that open_clip's trainer imports, and a batch that processes cannot share."""
        from recap_assets.training.kinds.torchrun.engine import trainer_arguments
        from recap_assets.training.kinds.torchrun.starting import TrainerError, world_of

        yield from lacking(where, self.extra, *TRAINER_IMPORTS)
        try:
            trainer_arguments(self, (), self.seeds[0], Path(), world_of(self))
        except TrainerError as error:
            yield False, f"{where}: {error}"
