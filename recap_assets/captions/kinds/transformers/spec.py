"""Captioners of transformers: what a user writes."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from recap_assets.captions.kind import DecodedHere
from recap_assets.specs.fields import LocalModel, Speed
from recap_assets.specs.prompts import Prompt
from recap_assets.specs.running import CaptionsAtOnce, Precision, images_at_once


def _is_none(value: object) -> bool:
    """For what is not said where it is off: captions written before it existed stay valid."""
    return value is None


class TransformersSpec(DecodedHere):
    """A captioner of transformers from the Hugging Face hub or a local folder; safetensors only.

    BLIP, BLIP-2, InstructBLIP, GIT, Florence-2, or a chat model that takes images.
    """

    example = """\
blip2:
  kind: transformers
  model: Salesforce/blip2-opt-2.7b
  revision: <commit>                           # pin it
  precision: bfloat16
  decoding: {temperature: 0.75, top_k: 50, min_tokens: 5, max_tokens: 40}
"""

    kind: Literal["transformers"]
    model: Annotated[str, LocalModel] = Field(
        description="Hub id (Salesforce/blip2-opt-2.7b) or a local folder."
    )
    revision: str | None = Field(default=None, description="Commit of the hub repository; pin it.")
    precision: Precision = "float32"
    prompt: Prompt | None = Field(
        default=None,
        description="BLIP, BLIP-2, GIT: what the caption continues. InstructBLIP, chat models: "
        "the instruction. Florence-2: the task (<CAPTION>). Without one, each family's own. "
        "`{raw}`, another source or a column of the pool in braces stands for the image's own "
        "text, cleaned and cut at 1,000 characters; a brace itself is doubled.",
    )
    batch_size: CaptionsAtOnce = 64
    max_pixels: int | None = Field(
        default=None,
        ge=32 * 32,
        le=2**26,
        exclude_if=_is_none,
        description="Chat models: larger images are made smaller to at most this many pixels, "
        "shape kept; fewer pixels are fewer tokens, and `recap doctor` says how many. Other "
        "families have a size of their own.",
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
    def _fits_together(self) -> "TransformersSpec":
        if self.device_map is not None and self.device != "auto":
            msg = (
                f"device_map {self.device_map} chooses the devices: leave out device {self.device}"
            )
            raise ValueError(msg)
        if self.attention == "flash_attention_2" and self.precision == "float32":
            msg = "attention flash_attention_2 needs precision bfloat16 or float16"
            raise ValueError(msg)
        return self

    @property
    def asks(self) -> str | None:
        """The prompt."""
        return self.prompt

    @property
    def called(self) -> str:
        """The model's name or folder."""
        return self.model

    @property
    def at_once(self) -> int:
        """Images that are passed at once."""
        return images_at_once(self.batch_size)
