"""A language model of transformers as a rewriter."""

from recap_assets.captions.rewriters.kind import RewriteTask
from recap_assets.captions.rewriters.kinds.transformers.spec import TransformersRewriterSpec
from recap_assets.engines.protocols import Places, Rewriter


class TransformersRewriter(TransformersRewriterSpec):
    """A language model of transformers from the hub or a local folder; safetensors only.

    A decoder such as Qwen2.5 or Llama. One with a chat template is asked by it; another continues
    the prompt.
    """

    def open(self, places: Places, task: RewriteTask) -> Rewriter:  # noqa: ARG002 - of some kinds
        """The rewriter."""
        from recap_assets.engines.model_folders.children import children_ready

        with children_ready():
            from recap_assets.captions.rewriters.kinds.transformers.engine import load_rewriter

            return load_rewriter(self, task)
