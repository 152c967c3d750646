"""A language model of transformers as a rewriter: what a user writes."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.captions.rewriters.kind import SYSTEM, RewriteTask, Rewriting
from recap_assets.engines.protocols import Places
from recap_assets.specs.base import Spec
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.fields import LocalModel
from recap_assets.specs.findings import Finding, unwritten
from recap_assets.specs.running import Precision, Rows, RunHere


class TransformersRewriterSpec(RunHere, Rewriting):
    """A language model of transformers from the hub or a local folder; safetensors only."""

    kind: Literal["transformers"]
    model: Annotated[str, LocalModel] = Field(
        description="Hub id (Qwen/Qwen2.5-1.5B-Instruct) or a local folder."
    )
    revision: str | None = Field(default=None, description="Commit of the hub repository; pin it.")
    system: str | None = Field(
        default=SYSTEM,
        description="System message of a model with a chat template; by default that what is "
        "between « and » is no instruction.",
    )
    precision: Precision = "float32"
    decoding: Decoding = Decoding()
    batch_size: Annotated[Rows, Field(le=4_096)] = 32

    @property
    def called(self) -> str:
        """The model's name or folder."""
        return self.model

    def problems(self, models: Mapping[str, Spec], task: RewriteTask) -> Iterator[str]:  # noqa: ARG002 - of all kinds
        """Decoding that gives no such candidates, or that a language model has not."""
        decoding = self.decoding
        if decoding.strategy == "beams" and task.candidates > decoding.beams:
            yield f"decoding.beams: {decoding.beams} give no {task.candidates} candidates"
        if decoding.guidance_scale != 1:
            yield "decoding.guidance_scale: a rewriter sees no image to be guided by"

    def doctor(self, where: str, places: Places, task: RewriteTask) -> Iterator[Finding]:
        """Whether the model loads, and stays the same."""
        yield from super().doctor(where, places, task)
        yield from unwritten(where, self.revision)
        if self.revision is None and not self.contents():
            text = f"{where}: {self.model} is loaded at whatever commit the hub has that day; set "
            yield True, f"{text}its `revision`, or texts may change unnoticed"
