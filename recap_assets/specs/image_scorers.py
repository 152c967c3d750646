"""Scorers of the image alone: aesthetics, unsafe content, watermarks."""

from typing import Annotated, Literal

from pydantic import Field

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.fields import Content, LocalModel, Speed
from recap_assets.specs.sources import Device, Precision


class EmbeddingHead(Spec):
    """Linear layers over the image embeddings that a scorer has anyway; no image is read again.

    LAION's aesthetic predictors and its NSFW detectors are such heads over CLIP ViT-L/14.
    """

    kind: Literal["embedding_head"]
    scorer: Name = Field(description="Whose unit-length image embeddings the head was trained on.")
    weights: Annotated[str, Content()] = Field(
        description="A safetensors file with tensors <layer>.weight and <layer>.bias, applied in "
        "the order of their names."
    )
    activation: Literal["none", "relu"] = Field(
        default="none",
        description="Between the layers. LAION's aesthetic predictors have none, its NSFW "
        "detectors relu.",
    )
    output: Literal["none", "sigmoid"] = Field(
        default="none", description="What becomes of the last layer's number."
    )


class ImageClassifier(Spec):
    """An image classifier of the Hugging Face hub; the score is the probability of one label."""

    kind: Literal["image_classifier"]
    model: Annotated[str, LocalModel] = Field(
        description="Hub id (Falconsai/nsfw_image_detection) or a local folder."
    )
    revision: str | None = Field(default=None, description="Commit of the hub repository; pin it.")
    label: str = Field(description="The label whose probability is the score, such as nsfw.")
    precision: Precision = "float32"
    batch_size: Annotated[int, Speed] = Field(
        default=64, gt=0, le=65_536, description="Images of one forward pass; changes no score."
    )
    device: Device = Field(default="auto", description="auto: a GPU where there is one.")


ImageScorer = Annotated[EmbeddingHead | ImageClassifier, Field(discriminator="kind")]
