"""Where image-text pairs come from: what every kind of pool has.

A kind is below `pool.kind.PoolKind`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from recap_assets.specs.base import Name, Spec
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


METADATA = "metadata"
"""Root of the columns that are in the pool's metadata."""


def _is_empty(columns: Mapping[str, str]) -> bool:
    return not columns


class PoolSpec(Spec):
    """Image-text pairs, in shards."""

    is_drawn: ClassVar[bool] = False
    """Whether the program draws the images, anywhere again from the seed: nothing is fetched, and
    scenes may be alike without being the same."""

    holds_by_design: ClassVar[bool] = False
    """Whether it was made so that some of the paper's findings hold."""

    notes: ClassVar[Sequence[str]] = ()
    """What a report must say of results on such a pool."""

    column_roots: ClassVar[tuple[str, ...]] = ()
    """What the place of a column may begin with, beside `metadata`."""

    shards_per_partition: int = Field(
        default=1, gt=0, le=1_000_000, description="Tar shards that form one partition."
    )
    limits: ImageLimits = ImageLimits()
    columns: dict[Name, str] = Field(
        default={},
        exclude_if=_is_empty,
        description="Further texts of a sample, by a name that prompts and templates may have in "
        "braces. Where each is: `json.FIELD` (`json.a.b` for b of a) in the json beside an image "
        "of a tar, `table.COLUMN` of a folder's table, `metadata.COLUMN` of `metadata`.",
    )

    @model_validator(mode="after")
    def _columns_have_places(self) -> Self:
        if problems := list(self._column_problems()):
            raise ValueError("; ".join(problems))
        return self

    def _column_problems(self) -> Iterator[str]:
        for name, place in self.columns.items():
            root, _, field = place.partition(".")
            if root == METADATA and self.metadata_folder is None:
                yield f"columns.{name}: `metadata`, which would hold it, is not set"
            elif not field or root not in (*self.column_roots, METADATA):
                known = " or ".join(f"{one}.NAME" for one in (*self.column_roots, METADATA))
                yield f"columns.{name}: {place!r} is no place in this pool; write {known}"

    @property
    def pictures_of_a_scene(self) -> int:
        """Pictures that the program draws of each scene; 1 where it draws none."""
        return 1

    @property
    def metadata_folder(self) -> str | None:
        """Folder of DataComp's metadata, joined by uid; None for a pool without."""
        return None


Pool = Annotated[PoolSpec, OneOf("pools")]
