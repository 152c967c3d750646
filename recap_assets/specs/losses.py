"""Losses of a CLIP that is trained here: what a user writes."""

from typing import Annotated, Literal

from pydantic import Field

from recap_assets.specs.base import Spec


class Contrastive(Spec):
    """CLIP's loss over the pairs of a batch, in both directions."""

    kind: Literal["contrastive"] = "contrastive"


class TwoStage(Spec):
    """CLIP's loss, and from some step on with margins by the model of that step.

    As in Deep Boosting Learning (Diao et al. 2024, arXiv 2404.18114) a first model says how far
    apart each pair and each non-pair are, and the second is asked for that distance beyond what it
    has: the logit of a non-pair is raised by `strength` times the first model's cosine of the pair
    less its cosine of the non-pair, where that is positive. The paper writes it for triplets; here
    it is a margin in CLIP's softmax. The second model begins where the first one stopped, so the
    budget is one training's.
    """

    kind: Literal["two_stage"]
    margin: Literal["from_first"] = Field(
        default="from_first", description="Margins are the first stage's distances."
    )
    first: float = Field(
        default=0.5, gt=0, lt=1, description="Share of the samples seen before the margins come."
    )
    strength: float = Field(
        default=0.5, gt=0, le=10, description="What the first stage's distances are multiplied by."
    )


Loss = Annotated[Contrastive | TwoStage, Field(discriminator="kind")]
