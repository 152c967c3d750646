"""Small captioners that are trained here: what a user writes."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from recap_assets.specs.base import Name
from recap_assets.specs.references import Reference
from recap_assets.training.models.kind import ModelKind


class TrainedCaptionerSpec(ModelKind):
    """A small decoder with cross-attention on the frozen image tower of a CLIP trained here."""

    kind: Literal["captioner"]
    backbone: Name = Field(description="The model (kind: clip) whose image tower is used, frozen.")
    start_from: Name | None = Field(default=None, description="A captioner to fine-tune.")
    batch_size: int = Field(default=64, gt=1, le=65_536, description="Pairs of one step.")
    layers: int = Field(default=2, gt=0, le=128, description="Decoder layers.")
    width: int = Field(default=128, gt=0, le=8_192, description="Decoder width.")
    muon_rate: float = Field(
        default=0.02, gt=0, description="Muon's rate on the decoder's matrices."
    )
    adamw_rate: float = Field(default=2e-3, gt=0, description="AdamW's rate on the rest.")
    condition_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        exclude_if=lambda share: share == 0,
        description="Share of the pairs whose image is left out (its tokens are zeros), so that "
        "the captioner also learns what it would write without one: `guidance_scale` of a source "
        "needs it. A tenth to a fifth is usual for classifier-free guidance (Ho, Salimans 2022).",
    )
    seed: int = 0

    @property
    def writes_without_image(self) -> bool:
        """Whether some pairs had no image."""
        return self.condition_dropout > 0

    def refers(self) -> Iterator[Reference]:
        """Corpus, backbone, and the captioner that it starts from."""
        yield from super().refers()
        yield Reference("backbone", self.backbone, "models", "clip")
        if self.start_from:
            yield Reference("start_from", self.start_from, "models", "captioner")
