"""Training of the CLIP that judges each mix: the same budget for every mix, as in DataComp."""

from typing import Literal

from pydantic import Field

from recap_assets.specs.base import Spec
from recap_assets.specs.models import Optimizer, SmallTower, Tower


class Training(Spec):
    """A fixed number of samples seen, whatever the mix's size (DataComp's rule)."""

    tower: Tower = SmallTower()
    optimizer: Optimizer = Optimizer()
    samples_seen: int = Field(
        default=28_000, gt=0, description="Pairs seen in all, the same for every mix."
    )
    batch_size: int = Field(default=128, gt=1, description="Pairs of one step.")
    seeds: tuple[int, ...] = Field(
        default=(0, 1, 2), min_length=1, description="One training run for each."
    )
    checkpoint_every: int = Field(
        default=50_000,
        gt=0,
        description="Pairs seen between checkpoints; a killed run resumes from the last.",
    )
    launcher: Literal["in_process", "torchrun"] = Field(
        default="in_process",
        description="torchrun hands exported shards to open_clip's own trainer.",
    )
