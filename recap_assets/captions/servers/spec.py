"""A model behind a server that speaks OpenAI's chat completions: what a user writes of it."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator, model_validator

from recap_assets.engines.errors import CaptionServerError
from recap_assets.engines.protocols import Usage
from recap_assets.specs.base import Spec
from recap_assets.specs.fields import Address, Price, Secret, Speed
from recap_assets.untrusted.nested import check_size
from recap_assets.untrusted.secrets import learn

_NOT_BY_A_SERVER = {
    "strategy": "temperature 0 is greedy, anything above samples",
    "num_beams": "it cannot search by beams",
    "beams": "it cannot search by beams",
    "beam_groups": "it cannot search by beams",
    "num_beam_groups": "it cannot search by beams",
    "diversity_penalty": "it cannot search by beams",
    "length_penalty": "it cannot search by beams",
    "guidance": "it cannot guide the decoding",
    "guidance_scale": "it cannot guide the decoding",
}
"""What kind transformers can do, by the names it may have there, and why a server cannot."""

_OURS = frozenset(
    {
        "model",
        "messages",
        "n",
        "stream",
        "seed",
        "temperature",
        "top_p",
        "top_k",
        "min_tokens",
        "max_tokens",
        "max_completion_tokens",
    }
)
"""Fields of a request that the source's own keys decide."""


def _not_by_a_server(value: object) -> list[str]:
    return [key for key in _NOT_BY_A_SERVER if isinstance(value, dict) and key in value]


MaxPixels = Annotated[
    int,
    Field(
        ge=32 * 32,
        le=2**26,
        description="Larger images are made smaller to at most this many pixels, shape kept.",
    ),
]
JpegQuality = Annotated[int, Field(ge=30, le=100, description="Quality of the JPEG that is sent.")]

MAX_EXTRA_BODY = 64 * 2**10
"""Characters of `extra_body`, written out: it goes with every request."""


class ServerDecoding(Spec):
    """Sampling as a server offers it.

    What is not given is not sent, and a server may then take it from the model's own
    generation_config.json; `recap serve-captioner` instructs vLLM not to.
    """

    temperature: float = Field(
        default=0.75, ge=0, le=2, description="Divides the logits; 0 takes the likeliest token."
    )
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="Tokens kept, by their share of the probability."
    )
    top_k: int | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Tokens kept, by number. vLLM and SGLang know it; OpenAI's own API does not.",
    )
    min_tokens: int | None = Field(
        default=None,
        ge=0,
        le=32_767,
        description="Shortest caption, in the model's tokens. vLLM and SGLang know it.",
    )
    max_tokens: int = Field(
        default=128,
        gt=0,
        le=32_767,
        description="Longest reply, in the model's tokens, thinking included.",
    )
    seed: int = Field(
        default=0, description="The server is given a seed made of (seed, uid, candidate)."
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_no_server_does(cls, value: object) -> object:
        if named := _not_by_a_server(value):
            reasons = "; ".join(f"{key}: {_NOT_BY_A_SERVER[key]}" for key in named)
            msg = f"a server samples ({reasons}); kind transformers decodes in other ways"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _bounds(self) -> "ServerDecoding":
        if (self.min_tokens or 0) > self.max_tokens:
            msg = f"min_tokens {self.min_tokens} exceeds max_tokens {self.max_tokens}"
            raise ValueError(msg)
        return self


MOST_ADDRESSES = 256
_MOST_UNDER_WAY = 16_384
"""Requests over all addresses: each holds an image and a connection."""

BaseUrl = Annotated[str, Field(min_length=1, max_length=2_000)]


def _address_of(value: object) -> str:
    """An address as it is used, without a slash at its end.

    Raises:
        ValueError: It is none, or has a user or a password in it, which are not repeated.
    """
    parts = urlsplit(value if isinstance(value, str) else "")
    if parts.username or parts.password:
        msg = "an address without a user or password in it; name a key by api_key_env"
        raise ValueError(msg)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        msg = f"{value!r} is no address; write http://HOST:PORT/v1 or https://HOST/v1"
        raise ValueError(msg)
    return str(value).rstrip("/")


class ServerSpec(Spec):
    """A model behind an OpenAI-compatible server: where it is, how it decodes, what it costs."""

    waits_for_a_server: ClassVar[bool] = True
    framework: ClassVar[str] = "openai"

    model: str = Field(min_length=1, description="The model's name, as the server lists it.")
    base_url: Annotated[BaseUrl | tuple[BaseUrl, ...], Address] = Field(
        default="http://127.0.0.1:8000/v1",
        description="What comes before /chat/completions: an address, or a list of those at which "
        "the same model answers; changes no text.",
    )
    system: str | None = Field(default=None, description="System message.")
    decoding: ServerDecoding = ServerDecoding()
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens",
        description="Name of the bound in a request; OpenAI's reasoning models want the second.",
    )
    extra_body: dict[str, JsonValue] = Field(
        default={},
        description="More fields of a request, such as {chat_template_kwargs: "
        "{enable_thinking: false}}.",
    )
    concurrency: Annotated[int, Speed] = Field(
        default=32,
        gt=0,
        le=4_096,
        description="Requests under way at once, for each address and each partition that is "
        "being built; changes no text.",
    )
    timeout_seconds: Annotated[float, Speed] = Field(
        default=180, gt=0, le=86_400, description="Longest wait for one reply; changes no text."
    )
    max_attempts: Annotated[int, Speed] = Field(
        default=6,
        gt=0,
        le=100,
        description="Attempts at one request while the server is busy or away; changes no text.",
    )
    cache: Annotated[bool, Speed] = Field(
        default=True,
        description="Keep replies on the disk, so that nothing is paid for twice; changes no "
        "caption.",
    )
    price_per_million_prompt_tokens: Annotated[float | None, Price] = Field(
        default=None, ge=0, le=1e9, description="In whatever currency; changes no text."
    )
    price_per_million_completion_tokens: Annotated[float | None, Price] = Field(
        default=None, ge=0, le=1e9, description="In the same currency; changes no text."
    )
    api_key_env: Annotated[str | None, Secret] = Field(
        default=None,
        description="NAME of the environment variable that holds the key; never the key itself.",
    )

    @property
    def called(self) -> str:
        """The model's name."""
        return self.model

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the model answers: one address or several, all different."""
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url

    @property
    def under_way(self) -> int:
        """Requests under way at once, over all addresses."""
        return min(self.concurrency * len(self.addresses), max(self.concurrency, _MOST_UNDER_WAY))

    @property
    def server_name(self) -> str:
        """The server or servers in the words of an error."""
        first, *others = self.addresses
        if not others:
            return self.server_name_at(first)
        return f"each of {len(others) + 1} captioning servers, {first} first (model {self.model}),"

    def server_name_at(self, address: str) -> str:
        """The server at one of the addresses in the words of an error."""
        return f"the captioning server {address} (model {self.model})"

    def cost_of(self, n_prompt_tokens: int, n_completion_tokens: int) -> float | None:
        """What these tokens cost, in the currency of the prices; None where none is given."""
        of_prompt = self.price_per_million_prompt_tokens
        of_completion = self.price_per_million_completion_tokens
        if of_prompt is None or of_completion is None:
            return None
        return (n_prompt_tokens * of_prompt + n_completion_tokens * of_completion) / 1e6

    def server_key(self) -> str | None:
        """The key in the variable `api_key_env`.

        Raises:
            CaptionServerError: The variable is not set.
        """
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            what = "not set" if not key else "set to what is no key"
            msg = f"{self.server_name} wants a key, and the variable {self.api_key_env} is {what}"
            raise CaptionServerError(msg)
        learn(key)
        return key

    def cost_with(self, usage: Usage) -> Mapping[str, int | float]:
        """What a server was asked for, by name, and what that cost where prices are given."""
        cost = self.cost_of(usage.prompt_tokens, usage.completion_tokens)
        return {**asdict(usage), **({} if cost is None else {"cost": round(cost, 6)})}

    @field_validator("base_url", mode="before")
    @classmethod
    def _is_one_or_a_list(cls, value: object) -> object:
        if isinstance(value, list | tuple) and not 1 <= len(value) <= MOST_ADDRESSES:
            msg = f"{len(value)} addresses; give 1 to {MOST_ADDRESSES}"
            raise ValueError(msg)
        if not isinstance(value, str | list | tuple):
            msg = "an address such as http://HOST:PORT/v1, or a list of them"
            raise ValueError(msg)
        given = [value] if isinstance(value, str) else list(value)
        found = tuple(_address_of(one) for one in given)
        if twice := [one for one, n in Counter(found).items() if n > 1]:
            msg = f"{twice[0]} is listed twice"
            raise ValueError(msg)
        return found[0] if len(found) == 1 else found

    @field_validator("api_key_env")
    @classmethod
    def _names_a_variable(cls, value: str | None) -> str | None:
        # A key that was put here by mistake must not be repeated in the error.
        letters = (value or "A").replace("_", "A")
        if not (letters.isascii() and letters.isalnum() and letters.isupper()):
            msg = "name an environment variable in capitals, such as OPENAI_API_KEY, and put the "
            msg += "key in there: a key has no place in this file"
            raise ValueError(msg)
        return value

    @field_validator("extra_body", mode="before")
    @classmethod
    def _is_small(cls, value: object) -> object:
        check_size(value, MAX_EXTRA_BODY)
        return value

    @field_validator("extra_body")
    @classmethod
    def _adds_only(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if taken := sorted(_OURS & value.keys()):
            msg = f"{', '.join(taken)}: the source's own keys decide this"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _both_prices(self) -> "ServerSpec":
        prices = (self.price_per_million_prompt_tokens, self.price_per_million_completion_tokens)
        if prices.count(None) == 1:
            msg = "give the price of prompt tokens and that of completion tokens, or neither"
            raise ValueError(msg)
        return self
