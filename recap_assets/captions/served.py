"""Models that a server on this machine answers for, which `recap serve-captioner` can start."""

from typing import Protocol
from urllib.parse import urlsplit


class Served(Protocol):
    """A caption source whose model a server has."""

    @property
    def model(self) -> str:
        """The model, as the server is asked for it."""
        ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where servers answer: one address or several."""
        ...

    def cost_of(self, n_prompt_tokens: int, n_completion_tokens: int) -> float | None:
        """What these tokens cost, in the currency of its prices; None where it has none."""
        ...

    def server_key(self) -> str | None:
        """The key that it wants; None where it wants none.

        Raises:
            CaptionServerError: The variable that holds it is not set.
        """
        ...


def is_local(url: str) -> bool:
    """Whether the address is this machine's own: then no proxy of the environment is asked."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
