"""Where image-text pairs come from: what every kind of pool has.

A kind is below `pool.kind.PoolKind`.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from recap_assets.specs.base import Spec
from recap_assets.specs.kinds import OneOf


class ImageLimits(Spec):
    """Bounds on one image. Pools are hostile: what exceeds them is set aside with a reason."""

    max_bytes: int = Field(
        default=32 * 2**20, gt=0, le=2**30, description="Largest encoded image, in bytes."
    )
    max_pixels: int = Field(
        default=89_478_485, gt=0, le=2**30, description="Largest width x height, in pixels."
    )
    min_side: int = Field(
        default=1, gt=0, le=65_536, description="Smallest side that is accepted, in pixels."
    )


class PoolSpec(Spec):
    """Image-text pairs, in shards."""

    is_drawn: ClassVar[bool] = False
    """Whether the program draws the images, anywhere again from the seed: nothing is fetched, and
    scenes may be alike without being the same."""

    holds_by_design: ClassVar[bool] = False
    """Whether it was made so that some of the paper's findings hold."""

    notes: ClassVar[Sequence[str]] = ()
    """What a report must say of results on such a pool."""

    shards_per_partition: int = Field(
        default=1, gt=0, le=1_000_000, description="Tar shards that form one partition."
    )
    limits: ImageLimits = ImageLimits()

    @property
    def metadata_folder(self) -> str | None:
        """Folder of DataComp's metadata, joined by uid; None for a pool without."""
        return None


Pool = Annotated[PoolSpec, OneOf("pools")]
