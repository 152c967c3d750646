"""CLIPs that are trained here on a corpus."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recap_assets.engines.protocols import Places
from recap_assets.specs.models import ModelSpec, Optimizer, SmallTower, Tower
from recap_assets.training.models.kind import ImageTextModel, OnProgress, TrainedModel

if TYPE_CHECKING:
    from recap_assets.training.engine.pairs import TrainingPairs


class TrainedClip(ImageTextModel):
    """A CLIP trained on a corpus: a scorer, or the image tower of a captioner."""

    kind: Literal["clip"]
    tower: Tower = SmallTower()
    optimizer: Optimizer = Optimizer()
    batch_size: int = Field(default=128, gt=1, le=65_536, description="Pairs of one step.")
    tag_loss: float = Field(
        default=0.0,
        ge=0,
        le=1e6,
        description="Weight of the loss that predicts a caption's tokens from the image.",
    )
    seed: int = 0

    def image_side(self, models: Mapping[str, ModelSpec]) -> int:  # noqa: ARG002 - of all kinds
        """The side that the tower takes."""
        from recap_assets.engines.trained import image_side

        return image_side(self.tower)

    def train(
        self,
        pairs: "TrainingPairs",
        places: Places,  # noqa: ARG002 - of all kinds
        on_progress: OnProgress,
    ) -> TrainedModel:
        """Train it from its seed, on a GPU where there is one."""
        from recap_assets.engines.devices import resolve_device
        from recap_assets.training.engine.clip import train_clip

        return train_clip(
            pairs,
            self.tower,
            self.optimizer,
            samples_seen=self.samples_seen,
            batch_size=self.batch_size,
            seed=self.seed,
            tag_loss=self.tag_loss,
            on_progress=on_progress,
            device=resolve_device("auto"),
        )
