"""Requests that a provider may answer in batches: what a user writes."""

from typing import Annotated

from pydantic import Field, model_validator

from recap_assets.captions.servers.spec import ServerSpec
from recap_assets.specs.fields import Price, Speed


class BatchedSpec(ServerSpec):
    """A model behind a server, asked request by request or in a provider's batches."""

    batch: Annotated[bool, Speed] = Field(
        default=False,
        description="Ask by the provider's batches (/files, /batches), which take up to a day; "
        "changes no caption.",
    )
    batch_price: Annotated[float, Price] = Field(
        default=0.5,
        gt=0,
        le=1,
        description="What a request in a batch costs, as a share of the prices; changes no text.",
    )

    @property
    def is_announced(self) -> bool:
        """Whether a provider's batches answer."""
        return self.batch

    def cost_of(self, n_prompt_tokens: int, n_completion_tokens: int) -> float | None:
        """What these tokens cost, at the rate of batches where they are asked for so."""
        cost = super().cost_of(n_prompt_tokens, n_completion_tokens)
        return cost if cost is None or not self.batch else cost * self.batch_price

    @model_validator(mode="after")
    def _can_be_batched(self) -> "BatchedSpec":
        if self.batch and not self.cache:
            msg = "batch: true keeps the replies in the cache; leave out `cache: false`"
            raise ValueError(msg)
        if self.batch and len(self.addresses) > 1:
            msg = "batch: true asks one provider; give one base_url"
            raise ValueError(msg)
        return self
