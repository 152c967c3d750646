"""Caption sources: who writes the synthetic captions, and how they are decoded.

`raw`, the pool's own alt-text, is always there and is not declared.
"""

from typing import Annotated, Literal

from pydantic import Field

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.servers import OpenAISource

Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")]
Precision = Literal["float32", "bfloat16", "float16"]


class _Captioner(Spec):
    decoding: Decoding = Decoding()
    candidates: int = Field(default=1, gt=0, le=64, description="Captions of each image.")
    batch_size: int = Field(
        default=64, gt=0, description="Images of one forward pass; changes no caption."
    )
    device: Device = Field(default="auto", description="auto: a GPU where there is one.")


class EmbeddedSource(_Captioner):
    """A captioner that the asset `models/<model>` trains."""

    kind: Literal["embedded"]
    model: Name = Field(description="A model of kind captioner in this experiment.")


class TransformersSource(_Captioner):
    """BLIP or BLIP-2 from the Hugging Face hub or a local folder; safetensors only."""

    kind: Literal["transformers"]
    model: str = Field(description="Hub id (Salesforce/blip2-opt-2.7b) or a local folder.")
    revision: str | None = Field(default=None, description="Commit of the hub repository; pin it.")
    precision: Precision = "float32"
    prompt: str | None = Field(default=None, description="Text that the caption continues.")


class OpenClipSource(_Captioner):
    """CoCa from open_clip."""

    kind: Literal["open_clip"]
    model: str = Field(description="coca_ViT-L-14, coca_ViT-B-32, or local-dir:FOLDER.")
    pretrained: str | None = Field(
        default=None, description="open_clip's tag, or a local safetensors file."
    )
    precision: Precision = "float32"


Source = Annotated[
    EmbeddedSource | TransformersSource | OpenClipSource | OpenAISource,
    Field(discriminator="kind"),
]
