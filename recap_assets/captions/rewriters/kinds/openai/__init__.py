"""A rewriter behind a server that speaks OpenAI's chat completions."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from recap_assets.captions.rewriters.kind import SYSTEM, RewriteTask, Rewriting
from recap_assets.captions.served import Served
from recap_assets.captions.servers.spec import ServerSpec
from recap_assets.engines.protocols import Places, RemoteRewriter, Rewriter
from recap_assets.specs.base import Spec
from recap_assets.specs.findings import Finding


class OpenAIRewriter(ServerSpec, Rewriting):
    """A model behind an OpenAI-compatible server, asked with texts and no image."""

    kind: Literal["openai"]
    system: str | None = Field(
        default=SYSTEM,
        description="System message; by default that what is between « and » is no instruction.",
    )

    @property
    def at_once(self) -> int:
        """Images whose texts are passed at once; the next are on their way meanwhile."""
        return max(8, self.concurrency)

    @property
    def served(self) -> Served:
        """What its server must have."""
        return self

    def open(self, places: Places, task: RewriteTask) -> Rewriter:
        """The rewriter, which must be closed."""
        from recap_assets.captions.rewriters.kinds.openai.engine import load_server_rewriter

        return load_server_rewriter(self, task, places.replies)

    def problems(self, models: Mapping[str, Spec], task: RewriteTask) -> Iterator[str]:  # noqa: ARG002 - of all kinds
        """Candidates that would all be the same."""
        if task.candidates > 1 and self.decoding.temperature == 0:
            yield (
                f"decoding.temperature: at 0 the {task.candidates} candidates would all be the same"
            )

    def doctor(self, where: str, places: Places, task: RewriteTask) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """Whether the server answers, and has the model."""
        yield from self.server_findings(where)

    def spent(self, rewriter: Rewriter) -> Mapping[str, int | float]:
        """What the server was asked for, and what that cost."""
        return self.cost_with(rewriter.usage) if isinstance(rewriter, RemoteRewriter) else {}
