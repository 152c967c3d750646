"""Caption sources: who writes the synthetic captions, and how they are decoded.

`raw`, the pool's own alt-text, is always there and is not declared.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.fields import LocalDir, LocalModel, Speed
from recap_assets.specs.imports import ImportSource, RerankedSource
from recap_assets.specs.servers import OpenAISource

Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$"), Speed]
Precision = Literal["float32", "bfloat16", "float16"]
BatchSize = Annotated[Annotated[int, Field(gt=0, le=65_536)] | Literal["auto"], Speed]

AUTO_ROWS = 256
"""Largest batch that `batch_size: auto` tries."""


def images_at_once(batch_size: int | Literal["auto"]) -> int:
    """Images to read ahead of a model with this batch size."""
    return AUTO_ROWS if batch_size == "auto" else batch_size


class _Captioner(Spec):
    decoding: Decoding = Decoding()
    candidates: int = Field(default=1, gt=0, le=64, description="Captions of each image.")
    device: Device = Field(default="auto", description="auto: a GPU where there is one.")

    @model_validator(mode="after")
    def _beams_suffice(self) -> Self:
        if self.decoding.strategy == "beams" and self.candidates > self.decoding.beams:
            msg = (
                f"candidates {self.candidates} exceeds decoding.beams {self.decoding.beams}: the "
                "candidates are the best beams"
            )
            raise ValueError(msg)
        return self


class EmbeddedSource(_Captioner):
    """A captioner that the asset `models/<model>` trains."""

    kind: Literal["embedded"]
    model: Name = Field(description="A model of kind captioner in this experiment.")
    batch_size: Annotated[int, Speed] = Field(
        default=64, gt=0, le=65_536, description="Images of one forward pass; changes no caption."
    )


class TransformersSource(_Captioner):
    """A captioner of transformers from the Hugging Face hub or a local folder; safetensors only.

    BLIP, BLIP-2, InstructBLIP, GIT, Florence-2, or a chat model that takes images.
    """

    kind: Literal["transformers"]
    model: Annotated[str, LocalModel] = Field(
        description="Hub id (Salesforce/blip2-opt-2.7b) or a local folder."
    )
    revision: str | None = Field(default=None, description="Commit of the hub repository; pin it.")
    precision: Precision = "float32"
    prompt: str | None = Field(
        default=None,
        min_length=1,
        description="BLIP, BLIP-2, GIT: what the caption continues. InstructBLIP, chat models: "
        "the instruction. Florence-2: the task (<CAPTION>). Without one, each family's own.",
    )
    batch_size: BatchSize = Field(
        default=64,
        description="Captions of one forward pass; changes no caption. auto: as many as fit, tried "
        "once for a model and a device.",
    )
    attention: Annotated[Literal["auto", "eager", "sdpa", "flash_attention_2"], Speed] = Field(
        default="auto", description="How attention is computed; changes no caption but for ties."
    )
    device_map: Annotated[
        Literal["auto", "balanced", "balanced_low_0", "sequential"] | None, Speed
    ] = Field(
        default=None,
        description="Spread the model over the devices of the machine; needs accelerate.",
    )
    quantization: Literal["8bit", "4bit"] | None = Field(
        default=None, description="Weights in 8 or 4 bits (nf4) by bitsandbytes; needs a GPU."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "TransformersSource":
        if self.device_map is not None and self.device != "auto":
            msg = (
                f"device_map {self.device_map} chooses the devices: leave out device {self.device}"
            )
            raise ValueError(msg)
        if self.attention == "flash_attention_2" and self.precision == "float32":
            msg = "attention flash_attention_2 needs precision bfloat16 or float16"
            raise ValueError(msg)
        return self


class OpenClipSource(_Captioner):
    """CoCa from open_clip."""

    kind: Literal["open_clip"]
    model: Annotated[str, LocalDir] = Field(
        description="coca_ViT-L-14, coca_ViT-B-32, or local-dir:FOLDER."
    )
    pretrained: Annotated[str | None, LocalModel] = Field(
        default=None, description="open_clip's tag, or a local safetensors file."
    )
    precision: Precision = "float32"
    batch_size: BatchSize = Field(
        default=64,
        description="Captions of one forward pass; changes no caption. auto: as many as fit, tried "
        "once for a model and a device.",
    )


CaptionerSource = EmbeddedSource | TransformersSource | OpenClipSource | OpenAISource
"""Sources whose captions a model writes here."""

Source = Annotated[CaptionerSource | ImportSource | RerankedSource, Field(discriminator="kind")]
