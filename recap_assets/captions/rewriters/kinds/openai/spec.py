"""A rewriter behind a server that speaks OpenAI's chat completions: what a user writes."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from recap_assets.captions.rewriters.kind import SYSTEM, RewriteTask, Rewriting
from recap_assets.captions.served import Served
from recap_assets.captions.servers.batches.spec import BatchedSpec
from recap_assets.engines.protocols import RemoteRewriter, Rewriter
from recap_assets.specs.base import Spec


class OpenAIRewriterSpec(BatchedSpec, Rewriting):
    """A model behind an OpenAI-compatible server, asked with texts and no image."""

    kind: Literal["openai"]
    system: str | None = Field(
        default=SYSTEM,
        description="System message; by default that what is between « and » is no instruction.",
    )

    @property
    def at_once(self) -> int:
        """Images whose texts are passed at once; the next are on their way meanwhile."""
        return max(8, self.under_way)

    @property
    def served(self) -> Served:
        """What its server must have."""
        return self

    def problems(self, models: Mapping[str, Spec], task: RewriteTask) -> Iterator[str]:  # noqa: ARG002 - of all kinds
        """Candidates that would all be the same."""
        if task.candidates > 1 and self.decoding.temperature == 0:
            yield (
                f"decoding.temperature: at 0 the {task.candidates} candidates would all be the same"
            )

    def spent(self, rewriter: Rewriter) -> Mapping[str, int | float]:
        """What the server was asked for, and what that cost."""
        return self.cost_with(rewriter.usage) if isinstance(rewriter, RemoteRewriter) else {}
