"""Texts that the images of a group share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from recap_assets.captions.kind import OwnAssets
from recap_assets.specs.base import Name
from recap_assets.specs.references import Reference
from recap_assets.specs.sources import MOST_CANDIDATES

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class SharedSource(OwnAssets):
    """The texts of another source for all images of a group, such as the views of one object.

    Images are of one group where a column of the pool has the same text. An image's own texts come
    first, then those of the images that follow it in the group by uid, and after the last one the
    first: so the images of a group give as many texts as they take. With `scorer`, the texts of the
    group come in the order of their scores, each by its own image, and its images all have the same
    ones. A text that repeats counts once. An image without a group, or of one with more than
    `largest` images, has its own texts. One without a text is set aside as `without_SOURCE`.

    Omniview-Tuning's MVCap (arXiv 2404.12139) has such groups: pictures of an object from all
    sides, each with a caption.
    """

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

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """One asset."""
        from recap_assets.captions.kinds.shared.assets import node_of

        return [node_of(project, name, self)]
