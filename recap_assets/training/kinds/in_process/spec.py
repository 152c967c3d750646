"""Training in the process of the build: what a user writes."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from recap_assets.specs.fields import Partitions, Speed
from recap_assets.specs.losses import Contrastive, Loss, TwoStage
from recap_assets.specs.models import Optimizer, SmallTower, Tower
from recap_assets.specs.training import Seeds
from recap_assets.training.kind import Launcher


class InProcessSpec(Launcher):
    """A fixed number of samples seen, whatever the mix's size (DataComp's rule)."""

    trains_here: ClassVar[bool] = True

    tower: Tower = SmallTower()
    optimizer: Optimizer = Optimizer()
    batch_size: int = Field(default=128, gt=1, le=65_536, description="Pairs of one step.")
    seeds: Annotated[Seeds, Partitions] = (0, 1, 2)
    checkpoint_every: Annotated[int, Speed] = Field(
        default=50_000,
        gt=0,
        le=10**12,
        description="Pairs seen between checkpoints; a killed run resumes from the last.",
    )
    positives: Literal["one", "all"] = Field(
        default="one",
        exclude_if=lambda positives: positives == "one",
        description="all: an image is trained on with all its texts at once, by their mean; "
        "one: with one that is drawn by its weight each epoch.",
    )
    prefix: Literal["source"] | None = Field(
        default=None,
        exclude_if=lambda prefix: prefix is None,
        description="source: each text begins with the name of its source (prefix conditioning, "
        "Saito et al. 2023, arXiv 2206.01125); `evaluation.prefix` says what prompts begin with.",
    )
    loss: Loss = Field(
        default=Contrastive(),
        exclude_if=lambda loss: isinstance(loss, Contrastive),
        description="contrastive: CLIP's own; two_stage: with margins by what it had learned.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        exclude_if=lambda precision: precision == "auto",
        description="bfloat16: the towers compute in it by automatic mixed precision, with weights "
        "and loss in float32; auto: so on a GPU that has it, float32 elsewhere.",
    )
    launcher: Literal["in_process"] = Field(
        default="in_process",
        description="torchrun hands exported shards to open_clip's own trainer; see `scale`.",
    )

    @property
    def marks_sources(self) -> bool:
        """Whether each text begins with the name of its source."""
        return self.prefix is not None

    @model_validator(mode="after")
    def _loss_fits(self) -> Self:
        if self.positives == "all" and isinstance(self.loss, TwoStage):
            msg = "loss: two_stage takes one text an image; leave `positives` at `one`"
            raise ValueError(msg)
        return self
