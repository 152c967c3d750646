"""Decoding: how a captioner chooses tokens."""

from collections.abc import Callable, Iterator
from typing import Literal

from pydantic import Field, model_validator

from recap_assets.specs.base import Spec

Strategy = Literal["sample", "greedy", "beams"]


def _is(off: float) -> Callable[[float], bool]:
    """For what is not said where it is off: captions written before it existed stay valid."""
    return lambda value: value == off


class Decoding(Spec):
    """Top-k sampling as in arXiv 2307.10350: T = 0.75, K = 50, 5 to 40 tokens.

    Each token in turn: guidance, repetition penalty, repeated n-grams and the length bounds change
    the logits; then `greedy` takes the highest, `sample` draws after temperature, top-k and top-p,
    and `beams` extends the captions that are likeliest as a whole. The order is that of
    transformers.
    """

    strategy: Strategy = Field(
        default="sample",
        description="sample draws; greedy takes the likeliest token, beams searches the likeliest "
        "caption: both ignore temperature, top_k and seed.",
    )
    temperature: float = Field(default=0.75, gt=0, le=10, description="Divides the logits.")
    top_k: int | None = Field(
        default=50, gt=0, le=1_000_000, description="Tokens kept at each position; null keeps all."
    )
    top_p: float = Field(
        default=1.0,
        gt=0,
        le=1,
        exclude_if=_is(1),
        description="Nucleus sampling (Holtzman et al. 2020): of the tokens kept, the fewest whose "
        "share of the probability reaches this; 1: all.",
    )
    min_tokens: int = Field(
        default=5, ge=0, le=32_767, description="Shortest caption, in the model's tokens."
    )
    max_tokens: int = Field(
        default=40, gt=0, le=32_767, description="Longest caption, in the model's tokens."
    )
    beams: int = Field(
        default=1,
        gt=0,
        le=64,
        exclude_if=_is(1),
        description="Captions that strategy beams holds open. `candidates` of the source are the "
        "best of them, with different texts.",
    )
    beam_groups: int = Field(
        default=1,
        gt=0,
        le=64,
        exclude_if=_is(1),
        description="Diverse beam search (Vijayakumar et al. 2016): groups of beams that choose "
        "one after the other, each turned away from the tokens of those before; divides beams.",
    )
    diversity_penalty: float = Field(
        default=0.0,
        ge=0,
        le=1_000,
        exclude_if=_is(0),
        description="Taken off a token's log-probability (nats) for each beam of an earlier group "
        "that chose it at the same position (Hamming diversity).",
    )
    length_penalty: float = Field(
        default=1.0,
        ge=-10,
        le=10,
        exclude_if=_is(1),
        description="Ended beams compare by log-probability / tokens ^ this, the end mark counted: "
        "1 is the mean, 0 the sum, more favours longer captions.",
    )
    guidance_scale: float = Field(
        default=1.0,
        ge=0,
        le=100,
        exclude_if=_is(1),
        description="Classifier-free guidance (Kornblith et al. 2023): logits are u + scale * "
        "(c - u) with c given the image and u without it; 1: off, 0: the image is ignored. Right "
        "for a captioner trained with `condition_dropout`. Those of transformers and open_clip "
        "were not trained so: zeros in place of the image's features are a substitute of ours for "
        "them, and chat models are refused.",
    )
    repetition_penalty: float = Field(
        default=1.0,
        ge=1,
        le=1_000,
        exclude_if=_is(1),
        description="Divides the score of tokens that the caption has already, or multiplies a "
        "negative one (Keskar et al. 2019); of logits, in beams of log-probabilities. 1: off.",
    )
    no_repeat_ngram: int = Field(
        default=0,
        ge=0,
        le=1_000,
        exclude_if=_is(0),
        description="No run of this number of tokens comes twice in a caption; 0: off.",
    )
    seed: int = Field(
        default=0, description="Noise is a function of (seed, uid, candidate, position)."
    )

    @model_validator(mode="after")
    def _is_sensible(self) -> "Decoding":
        problems = [*self._bound_problems(), *self._strategy_problems(), *self._group_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _bound_problems(self) -> Iterator[str]:
        if self.min_tokens > self.max_tokens:
            yield f"min_tokens {self.min_tokens} exceeds max_tokens {self.max_tokens}"

    def _strategy_problems(self) -> Iterator[str]:
        if self.strategy == "beams" and self.beams == 1:
            yield "strategy beams needs beams of 2 or more; one beam is strategy greedy"
        if self.strategy != "beams":
            for name in ("beams", "beam_groups", "diversity_penalty", "length_penalty"):
                value = getattr(self, name)
                if value != type(self).model_fields[name].default:
                    yield f"{name} {value} is for strategy beams, and strategy is {self.strategy}"
        if self.strategy != "sample" and self.top_p < 1:
            yield f"top_p {self.top_p} is for strategy sample, and strategy is {self.strategy}"

    def _group_problems(self) -> Iterator[str]:
        if self.strategy != "beams":
            return
        if self.beams % self.beam_groups:
            yield f"beams {self.beams} cannot be divided among beam_groups {self.beam_groups}"
        if self.beam_groups > 1 and self.diversity_penalty == 0:
            yield (
                f"beam_groups {self.beam_groups} needs a diversity_penalty above 0: without it "
                "every group writes the same"
            )
        if self.beam_groups == 1 and self.diversity_penalty > 0:
            yield (
                f"diversity_penalty {self.diversity_penalty} needs beam_groups of 2 or more: it "
                "keeps groups apart"
            )
