"""A language model of transformers as a rewriter."""

from recap_assets.captions.rewriters.kind import RewriteTask
from recap_assets.captions.rewriters.kinds.transformers.spec import TransformersRewriterSpec
from recap_assets.engines.protocols import Places, Rewriter

OPERATIONS = 300.0
"""For a text, of each weight: two for each of some 150 tokens that are read and written."""


class TransformersRewriter(TransformersRewriterSpec):
    """A language model of transformers from the hub or a local folder; safetensors only.

    A decoder such as Qwen2.5 or Llama. One with a chat template is asked by it; another continues
    the prompt.
    """

    @property
    def seconds_per_text(self) -> float:
        """By the size of the model, where it is on this machine."""
        from recap_assets.engines.guesses import numbers_of, seconds_of

        operations = OPERATIONS * numbers_of(self.model, self.revision)
        return super().seconds_per_text + seconds_of(operations, self.device)

    def open(self, places: Places, task: RewriteTask) -> Rewriter:  # noqa: ARG002 - of some kinds
        """The rewriter."""
        from recap_assets.engines.model_folders.children import children_ready

        with children_ready():
            from recap_assets.captions.rewriters.kinds.transformers.engine import load_rewriter

            return load_rewriter(self, task)
