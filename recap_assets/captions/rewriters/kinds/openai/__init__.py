"""A rewriter behind a server that speaks OpenAI's chat completions."""

from collections.abc import Iterator

from recap_assets.captions.rewriters.kind import RewriteTask
from recap_assets.captions.rewriters.kinds.openai.spec import OpenAIRewriterSpec
from recap_assets.engines.protocols import Places, Rewriter
from recap_assets.specs.findings import Finding


class OpenAIRewriter(OpenAIRewriterSpec):
    """A model behind an OpenAI-compatible server, asked with texts and no image."""

    def open(self, places: Places, task: RewriteTask) -> Rewriter:
        """The rewriter, which must be closed."""
        from recap_assets.captions.rewriters.kinds.openai.engine import load_server_rewriter

        return load_server_rewriter(self, task, places.replies)

    def doctor(self, where: str, places: Places, task: RewriteTask) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """Whether the server answers, and has the model."""
        from recap_assets.captions.servers.findings import server_findings

        yield from server_findings(self, where)
