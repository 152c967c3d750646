"""Small captioners that are trained here: what a user writes."""

from collections.abc import Iterator, Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from recap_assets.specs.base import Name
from recap_assets.specs.references import SOURCES, Reference
from recap_assets.training.models.kind import ImageTextModel
from recap_assets.training.models.kinds.captioner.control import Control
from recap_assets.training.models.kinds.captioner.reward import Reward


class TrainedCaptionerSpec(ImageTextModel):
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
    control: Control | None = Field(
        default=None,
        exclude_if=lambda control: control is None,
        description="What it can be told about how to write; by default nothing.",
    )
    reward: Reward | None = Field(
        default=None,
        exclude_if=lambda reward: reward is None,
        description="What it is fine-tuned by, beside or in the place of the corpus's texts.",
    )
    seed: int = 0

    @model_validator(mode="after")
    def _rewards_what_writes(self) -> Self:
        if self.reward and not self.start_from:
            msg = "reward: name a captioner in `start_from`; one that cannot write gets no reward"
            raise ValueError(msg)
        return self

    @property
    def scorers(self) -> tuple[str, ...]:
        """The scorers that it learns by."""
        alignment = self.control.alignment if self.control else None
        named = [part.scorer for part in (alignment, self.reward) if part]
        return tuple(dict.fromkeys(named))

    def control_problems(self, asked: Mapping[str, object]) -> Iterator[str]:
        """What of a source's `control` does not fit, or is missing."""
        if self.control is None:
            yield from super().control_problems(asked)
        else:
            yield from self.control.problems(asked)

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
        if self.control and self.control.tag:
            yield Reference("corpus", self.corpus, "corpora", gives=SOURCES)
