"""Texts that the images of a group share: what a user writes."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.captions.kind import OwnAssets
from recap_assets.specs.base import Name
from recap_assets.specs.references import Reference
from recap_assets.specs.sources import MOST_CANDIDATES


class SharedSpec(OwnAssets):
    """The texts of another source for all images of a group, such as the views of one object."""

    example = """\
of_object: {kind: shared, source: blip2, group: object, keep: 4}   # `object` of `pool.columns`
"""

    kind: Literal["shared"]
    source: str = Field(description="The source whose texts are shared; all usable candidates.")
    group: Name = Field(
        description="The column of the pool with the group: images with the same text in it."
    )
    scorer: Name | None = Field(
        default=None,
        description="Whose scores order the texts of a group; by default an image's own come "
        "first.",
    )
    keep: Annotated[int, Field(gt=0, le=MOST_CANDIDATES)] = Field(
        default=8, description="Texts of an image, the first ones."
    )
    largest: int = Field(
        default=1_000,
        gt=1,
        le=100_000,
        description="Images of a group at most; more have a value by default, such as `unknown`.",
    )

    def refers(self) -> Iterator[Reference]:
        """The source, the column and the scorer."""
        yield Reference("source", self.source, "source_names")
        yield Reference("group", self.group, "column_names")
        if self.scorer is not None:
            yield Reference("scorer", self.scorer, "scorers")
