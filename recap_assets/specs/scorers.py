"""Scorers: how well a text fits its image, as the cosine of two embeddings."""

from typing import Annotated, Literal

from pydantic import Field

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.fields import LocalDir, LocalModel, Speed
from recap_assets.specs.sources import Device, Precision


class EmbeddedScorer(Spec):
    """A CLIP that the asset `models/<model>` trains."""

    kind: Literal["embedded"]
    model: Name = Field(description="A model of kind clip in this experiment.")
    batch_size: Annotated[int, Speed] = Field(
        default=128, gt=0, le=65_536, description="Rows of one forward pass; changes no score."
    )
    device: Device = Field(default="auto", description="auto: a GPU where there is one.")


class OpenClipScorer(Spec):
    """A CLIP of open_clip by name and tag, or from a local checkpoint."""

    kind: Literal["open_clip"]
    model: Annotated[str, LocalDir] = Field(
        description="open_clip's model name (ViT-L-14), or local-dir:FOLDER."
    )
    pretrained: Annotated[str | None, LocalModel] = Field(
        default=None, description="open_clip's tag, or a local safetensors file."
    )
    precision: Precision = "float32"
    batch_size: Annotated[int, Speed] = Field(
        default=64, gt=0, le=65_536, description="Rows of one forward pass; changes no score."
    )
    device: Device = Field(default="auto", description="auto: a GPU where there is one.")
    pool_scores: str | None = Field(
        default=None,
        description="Column of the pool's metadata that holds the raw text's score "
        "(clip_l14_similarity_score); used instead of computing it.",
    )
    pool_embeddings: str | None = Field(
        default=None,
        description="Key of the metadata's npz files that holds image embeddings (l14_img); "
        "used instead of computing them.",
    )


Scorer = Annotated[EmbeddedScorer | OpenClipScorer, Field(discriminator="kind")]
