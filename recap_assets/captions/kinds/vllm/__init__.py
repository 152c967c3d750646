"""Captions by vLLM's engine within the worker, where vLLM is installed."""

from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec

from recap_assets.captions.kinds.vllm.spec import VllmSpec
from recap_assets.engines.protocols import Captioner, Places
from recap_assets.specs.findings import Finding

OPERATIONS = 600.0
"""For an image, of each weight: a prompt has some 280 tokens, and each takes two."""

_FOUND = (
    "was looked through: configs, tokenizer and the headers of its weights. vLLM was not started; "
    "that it knows the model and that the GPU has room for it shows when a build starts it"
)
"""What doctor has seen of a model, and what not."""


class VllmSource(VllmSpec):
    """A chat model that vLLM runs within the worker, without a server; safetensors only."""

    @property
    def seconds_per_image(self) -> float:
        """By the size of the model, where it is on this machine."""
        from recap_assets.engines.guesses import numbers_of, seconds_of

        operations = OPERATIONS * numbers_of(self.model, self.revision)
        return super().seconds_per_image + self.candidates * seconds_of(operations, "auto")

    def open(self, places: Places) -> Captioner:  # noqa: ARG002 - of all kinds
        """The captioner; vLLM takes most of a GPU's memory."""
        from recap_assets.engines.model_folders.children import children_ready

        with children_ready():
            from recap_assets.captions.kinds.vllm.engine import load_vllm_captioner

            return load_vllm_captioner(self)

    @property
    def given_by(self) -> Mapping[str, str]:
        """The version of vLLM, which is not among the platform's own libraries."""
        if find_spec("vllm") is None:
            return super().given_by
        return {**super().given_by, "vllm": metadata.version("vllm")}

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """Whether vLLM is there, and the model's files are whole; vLLM itself is not started."""
        if find_spec("vllm") is None:
            from recap_assets.captions.kinds.vllm.folder import NOT_INSTALLED

            yield False, f"{where}: {NOT_INSTALLED}"
            return
        from recap_assets.captions.kinds.vllm.folder import checked
        from recap_assets.engines.trying import tried

        yield tried(where, self.called, lambda: checked(self), _FOUND)
        if not self.batch_invariant:
            yield True, f"{where}: without batch_invariant, a caption may depend on its batch"
        if self.revision is None and not self.contents():
            text = f"{where}: {self.model} is loaded at whatever commit the hub has that day; set "
            yield True, f"{text}its `revision`, or captions may change unnoticed"
