"""Captioners behind a server that speaks OpenAI's chat completions: vLLM, SGLang and others."""

from collections.abc import Iterator, Mapping

from recap_assets.captions.kinds.openai.spec import OpenAISpec
from recap_assets.captions.served import Served
from recap_assets.engines.protocols import Captioner, Places, RemoteCaptioner
from recap_assets.specs.findings import Finding


class OpenAISource(OpenAISpec):
    """A model behind an OpenAI-compatible server, asked with an image and a prompt."""

    @property
    def served(self) -> Served:
        """What its server must have."""
        return self

    def open(self, places: Places) -> Captioner:
        """The captioner, which must be closed."""
        from recap_assets.captions.kinds.openai.engine import load_server_captioner

        return load_server_captioner(self, places.replies)

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """Whether the server answers, and has the model."""
        from recap_assets.captions.servers.findings import server_findings

        yield from server_findings(self, where)

    def spent(self, captioner: Captioner) -> Mapping[str, int | float]:
        """What the server was asked for, and what that cost."""
        return self.cost_with(captioner.usage) if isinstance(captioner, RemoteCaptioner) else {}
