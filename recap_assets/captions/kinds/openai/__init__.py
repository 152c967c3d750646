"""Captioners behind a server that speaks OpenAI's chat completions: vLLM, SGLang and others."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

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

    def server_key(self) -> str | None:
        """The key in the variable `api_key_env`."""
        from recap_assets.captions.kinds.openai.client import key_of

        return key_of(self)

    def open(self, places: Places) -> Captioner:
        """The captioner, which must be closed."""
        from recap_assets.captions.kinds.openai.engine import load_server_captioner

        return load_server_captioner(self, places.replies)

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """Whether the server answers, and has the model."""
        from recap_assets.captions.kinds.openai.client import models_served
        from recap_assets.engines.errors import CaptionServerError

        try:
            models = models_served(self)
        except CaptionServerError as error:
            yield False, f"{where}: {error}"
            return
        listed = ", ".join(models[:8]) or "none"
        if self.model in models:
            yield True, f"{where}: {self.base_url} serves {self.model}"
        else:
            yield False, f"{where}: {self.base_url} serves no {self.model}; it lists {listed}"

    def spent(self, captioner: Captioner) -> Mapping[str, int | float]:
        """What the server was asked for, and what that cost."""
        if not isinstance(captioner, RemoteCaptioner):
            return {}
        usage = captioner.usage
        cost = self.cost_of(usage.prompt_tokens, usage.completion_tokens)
        return {**asdict(usage), **({} if cost is None else {"cost": round(cost, 6)})}
