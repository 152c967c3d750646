"""Fine-tuning of a captioner by a reward: what a user writes."""

from collections.abc import Iterator
from typing import Self

from pydantic import Field, model_validator

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.references import EMBEDDINGS, Reference


class SelfRetrieval(Spec):
    """How surely a caption finds its own image among others."""

    weight: float = Field(default=1.0, gt=0, le=1e3, description="Factor of this reward.")
    distractors: int = Field(default=15, gt=0, le=4_096, description="The other images.")
    similar: bool = Field(
        default=True,
        description="Whether they are those of the corpus that look most alike, by the scorer; "
        "otherwise they are drawn.",
    )


class Reward(Spec):
    """What a sampled caption is rewarded for, against the greedy one of the same image.

    REINFORCE with the greedy caption as its baseline (self-critical training, Rennie et al. 2017).
    CLIP scores as the reward: Fine-grained Captioning with CLIP Reward (Cho et al. 2022,
    arXiv 2205.13115). Self-retrieval among similar images: No Detail Left Behind (arXiv
    2409.03025) and Cross-Domain Discriminative Finetuning (arXiv 2304.01662). Without a likelihood
    term captions lose their grammar; the run's facts have how much.
    """

    scorer: Name = Field(description="The scorer that rewards; it must embed.")
    clip_score: float = Field(
        default=1.0, ge=0, le=1e3, description="Factor of CLIP-S, 2.5 * max(cosine, 0)."
    )
    self_retrieval: SelfRetrieval | None = Field(
        default=None, description="A reward for telling the image from others; by default none."
    )
    likelihood: float = Field(
        default=0.1, ge=0, le=1e3, description="Factor of the cross-entropy of the corpus's texts."
    )
    max_tokens: int = Field(
        default=24, gt=1, le=1_024, description="Tokens of a sampled caption at most."
    )
    rate: float = Field(
        default=0.5, gt=0, le=1, description="What the learning rates are multiplied by."
    )

    @model_validator(mode="after")
    def _rewards_something(self) -> Self:
        if not self.clip_score and self.self_retrieval is None:
            msg = "nothing is rewarded: give clip_score or self_retrieval"
            raise ValueError(msg)
        return self

    def refers(self) -> Iterator[Reference]:
        """The scorer."""
        yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)
