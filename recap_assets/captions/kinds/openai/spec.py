"""Captioners behind a server that speaks OpenAI's chat completions: what a user writes."""

from typing import Literal

from pydantic import Field, model_validator

from recap_assets.captions.kind import Captioning
from recap_assets.captions.servers.batches.spec import BatchedSpec
from recap_assets.captions.servers.spec import JpegQuality, MaxPixels
from recap_assets.specs.prompts import Prompt


class OpenAISpec(BatchedSpec, Captioning):
    """A model behind an OpenAI-compatible server, asked with an image and a prompt."""

    example = """\
vlm:                                           # behind vLLM, SGLang, or any such server
  kind: openai
  model: Qwen/Qwen2.5-VL-3B-Instruct           # `recap serve-captioner --source vlm` starts vLLM
  base_url: http://127.0.0.1:8000/v1
  prompt: Describe this image in one sentence.
  decoding: {temperature: 0.75, max_tokens: 60}
"""

    kind: Literal["openai"]
    prompt: Prompt = Field(
        default="Describe this image in one sentence.",
        description="What the model is asked, after the image. `{raw}`, another source or a column "
        "of the pool in braces stands for the image's own text, cleaned and cut at 1,000 "
        "characters; a brace itself is doubled.",
    )
    candidates: int = Field(
        default=1, gt=0, le=64, description="Captions of each image, a request each."
    )
    max_pixels: MaxPixels = 768 * 768
    jpeg_quality: JpegQuality = 90

    @property
    def asks(self) -> str:
        """The prompt."""
        return self.prompt

    @property
    def at_once(self) -> int:
        """Images that are passed at once; the next are on their way meanwhile."""
        return max(8, self.under_way // self.candidates)

    @model_validator(mode="after")
    def _candidates_differ(self) -> "OpenAISpec":
        if self.candidates > 1 and self.decoding.temperature == 0:
            msg = f"candidates {self.candidates}: at temperature 0 they would all be the same"
            raise ValueError(msg)
        return self
