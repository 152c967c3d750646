"""Training of the CLIP that judges each mix: the same budget for every mix, as in DataComp."""

from typing import Annotated, ClassVar

from pydantic import Field

from recap_assets.specs.base import Spec
from recap_assets.specs.fields import Partitions, Words
from recap_assets.specs.kinds import OneOf
from recap_assets.specs.tracking import Track

Seeds = Annotated[
    tuple[int, ...], Field(min_length=1, max_length=1_000, description="One training run for each.")
]


class TrainingSpec(Spec):
    """How a CLIP is trained on each mix; a kind is below `training.kind.Launcher`."""

    reads_exports: ClassVar[bool] = False
    """Whether it reads a mix as an export that `trains`; one is added to a mix that has none."""

    trains_here: ClassVar[bool] = False
    """Whether it trains in the process of the build, from the pairs in `curated_mixes`, the number
    of samples that it is given: then a search can train with it, see `specs.searches`."""

    samples_seen: int = Field(
        default=28_000, gt=0, le=10**12, description="Pairs seen in all, the same for every mix."
    )
    seeds: Annotated[Seeds, Partitions] = (0,)
    track: Annotated[Track | None, Words] = Field(
        default=None,
        exclude_if=lambda track: track is None,
        description="Where curves, results and the leaderboard are tracked; it decides no model.",
    )

    @property
    def marks_sources(self) -> bool:
        """Whether each text begins with the name of its source."""
        return False


Training = Annotated[TrainingSpec, OneOf("launchers")]
