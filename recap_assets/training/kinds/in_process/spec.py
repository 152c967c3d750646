"""Training in the process of the build: what a user writes."""

from typing import Annotated, Literal

from pydantic import Field

from recap_assets.specs.fields import Partitions, Speed
from recap_assets.specs.models import Optimizer, SmallTower, Tower
from recap_assets.specs.training import Seeds
from recap_assets.training.kind import Launcher


class InProcessSpec(Launcher):
    """A fixed number of samples seen, whatever the mix's size (DataComp's rule)."""

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
    launcher: Literal["in_process"] = Field(
        default="in_process",
        description="torchrun hands exported shards to open_clip's own trainer; see `scale`.",
    )
