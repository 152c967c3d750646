"""Small captioners that are trained here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recap_assets.engines.protocols import Places
from recap_assets.specs.models import ModelSpec
from recap_assets.training.models.kind import ModelKind, OnProgress, TrainedModel
from recap_assets.training.models.kinds.captioner.spec import TrainedCaptionerSpec

if TYPE_CHECKING:
    from recap_assets.training.engine.pairs import TrainingPairs


class TrainedCaptioner(TrainedCaptionerSpec):
    """A small decoder with cross-attention on the frozen image tower of a CLIP trained here."""

    def image_side(self, models: Mapping[str, ModelSpec]) -> int:
        """The backbone's."""
        backbone = models[self.backbone]
        assert isinstance(backbone, ModelKind), "the registry takes no others"  # noqa: S101
        return backbone.image_side(models)

    def train(
        self, pairs: "TrainingPairs", places: Places, on_progress: OnProgress
    ) -> TrainedModel:
        """Train the decoder, from its seed or from another captioner."""
        from recap_assets.training.models.kinds.captioner.engine import train_captioner

        start_from = places.models / self.start_from if self.start_from else None
        backbone = places.models / self.backbone
        return train_captioner(pairs, self, backbone, start_from, on_progress=on_progress)
