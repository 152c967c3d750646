"""Models that the platform trains itself, and how they are trained."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.specs.base import Spec
from recap_assets.specs.fields import LocalModel
from recap_assets.specs.kinds import OneOf


class SmallTower(Spec):
    """The convolutional CLIP of the embedded world, behind open_clip's interfaces."""

    kind: Literal["small"] = "small"
    image_size: int = Field(
        default=64, multiple_of=32, le=2_048, description="Side of the square input, in pixels."
    )
    image_stages: tuple[Annotated[int, Field(le=4_096)], ...] = Field(
        default=(32, 64, 128), max_length=8, description="Channels of each stage."
    )
    text_width: int = Field(
        default=128, gt=0, le=8_192, description="Width of the text transformer."
    )
    text_layers: int = Field(default=1, gt=0, le=128, description="Layers of the text transformer.")
    context_length: int = Field(default=20, gt=2, le=4_096, description="Longest text, in tokens.")
    vocabulary: int = Field(
        default=3_000, gt=300, le=1_000_000, description="Size of the BPE vocabulary, in tokens."
    )
    embedding_dim: int = Field(
        default=128, gt=0, le=16_384, description="Width of the joint embedding."
    )


class OpenClipTower(Spec):
    """An architecture of open_clip by name, from random weights or from a pretrained tag."""

    kind: Literal["open_clip"]
    name: str = Field(description="open_clip's model name, such as ViT-B-32.")
    pretrained: Annotated[str | None, LocalModel] = Field(
        default=None, description="open_clip's tag, or a local checkpoint."
    )


Tower = Annotated[SmallTower | OpenClipTower, Field(discriminator="kind")]


class Optimizer(Spec):
    """Muon on matrices and AdamW on the rest, or AdamW on all; linear or cosine decay to zero."""

    kind: Literal["muon", "adamw"] = Field(default="muon", description="What updates the matrices.")
    image_muon_rate: float = Field(
        default=0.1, gt=0, description="Muon's rate on convolution kernels."
    )
    text_muon_rate: float = Field(
        default=0.04, gt=0, description="Muon's rate on matrices of the text side."
    )
    adamw_rate: float = Field(default=2e-3, gt=0, description="AdamW's peak learning rate.")
    weight_decay: float = Field(default=0.05, ge=0, description="AdamW's weight decay.")
    betas: tuple[float, float] = Field(default=(0.9, 0.98), description="AdamW's betas.")
    warmup_fraction: float = Field(
        default=0.06, ge=0, lt=1, description="Share of the steps that warm up."
    )
    schedule: Literal["linear", "cosine"] = Field(
        default="linear", description="Decay after the warm-up."
    )


class ModelSpec(Spec):
    """A model that is trained here; a kind is below `training.models.kind.ModelKind`."""

    @property
    def writes_without_image(self) -> bool | None:
        """Whether it learned what it would write without an image; None for what writes nothing."""
        return None

    def control_problems(self, asked: Mapping[str, object]) -> Iterator[str]:
        """What of a source's `control` does not fit what the model learned, or is missing.

        Args:
            asked: The controls that the source sets, by name.
        """
        if asked:
            yield "it has no control; give it `control`, or leave this one out"


Model = Annotated[ModelSpec, OneOf("models")]
