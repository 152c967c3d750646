"""Decoding: how a captioner chooses tokens."""

from typing import Literal

from pydantic import Field, model_validator

from recap_assets.specs.base import Spec


class Decoding(Spec):
    """Top-k sampling as in the paper (its section 1: T = 0.75, K = 50, 5 to 40 tokens)."""

    strategy: Literal["sample", "greedy"] = Field(
        default="sample", description="greedy ignores the rest."
    )
    temperature: float = Field(default=0.75, gt=0, le=10, description="Divides the logits.")
    top_k: int = Field(default=50, gt=0, description="Candidates kept at each token.")
    min_tokens: int = Field(default=5, ge=0, description="Shortest caption, in the model's tokens.")
    max_tokens: int = Field(default=40, gt=0, description="Longest caption, in the model's tokens.")
    seed: int = Field(
        default=0, description="Noise is a function of (seed, uid, candidate, position)."
    )

    @model_validator(mode="after")
    def _bounds(self) -> "Decoding":
        if self.min_tokens > self.max_tokens:
            msg = f"min_tokens {self.min_tokens} exceeds max_tokens {self.max_tokens}"
            raise ValueError(msg)
        return self
