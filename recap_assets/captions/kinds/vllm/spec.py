"""Captions by vLLM's engine within the worker: what a user writes."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from recap_assets.captions.kind import Captioning
from recap_assets.captions.servers.spec import MaxPixels, ServerDecoding
from recap_assets.specs.fields import LocalModel, Speed
from recap_assets.specs.prompts import Prompt
from recap_assets.specs.running import Precision


class VllmSpec(Captioning):
    """A chat model that vLLM runs within the worker, without a server; safetensors only."""

    example = """\
qwen:                                          # needs a GPU, and vLLM in this environment
  kind: vllm
  model: Qwen/Qwen2.5-VL-3B-Instruct
  revision: <commit>                           # pin it
  decoding: {temperature: 0.75, top_k: 50, max_tokens: 60}
"""
    framework: ClassVar[str] = "vllm"
    installed_by = "pip install vllm"

    kind: Literal["vllm"]
    model: Annotated[str, LocalModel] = Field(
        description="Hub id (Qwen/Qwen2.5-VL-3B-Instruct) or a local folder."
    )
    revision: str | None = Field(default=None, description="Commit of the hub repository; pin it.")
    precision: Precision = "bfloat16"
    prompt: Prompt = Field(
        default="Describe this image in one sentence.",
        description="What the model is asked, after the image. `{raw}`, another source or a column "
        "of the pool in braces stands for the image's own text, cleaned and cut at 1,000 "
        "characters; a brace itself is doubled.",
    )
    system: str | None = Field(default=None, description="System message.")
    decoding: ServerDecoding = ServerDecoding()
    max_pixels: MaxPixels = 768 * 768
    batch_invariant: bool = Field(
        default=True,
        description="Compute by vLLM's batch-invariant kernels, which are slower and in beta; "
        "without them a caption may depend on those beside it.",
    )
    longest: Annotated[int | None, Speed] = Field(
        default=None,
        gt=0,
        le=2**20,
        description="Tokens of prompt and caption that room is kept for; the model's own without.",
    )
    memory: Annotated[float, Speed] = Field(
        default=0.9, gt=0, le=1, description="Share of the GPU's memory that vLLM takes."
    )
    batch_size: Annotated[int, Speed] = Field(
        default=256, gt=0, le=65_536, description="Images passed at once; changes no caption."
    )

    @property
    def called(self) -> str:
        """The model's name or folder."""
        return self.model

    @property
    def asks(self) -> str:
        """The prompt."""
        return self.prompt

    @property
    def at_once(self) -> int:
        """Images that are passed at once."""
        return self.batch_size

    @model_validator(mode="after")
    def _candidates_differ(self) -> "VllmSpec":
        if self.candidates > 1 and self.decoding.temperature == 0:
            msg = f"candidates {self.candidates}: at temperature 0 they would all be the same"
            raise ValueError(msg)
        return self
