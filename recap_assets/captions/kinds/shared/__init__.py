"""Texts that the images of a group share."""

from typing import TYPE_CHECKING

from recap_assets.captions.kinds.shared.spec import SharedSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class SharedSource(SharedSpec):
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

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """One asset."""
        from recap_assets.captions.kinds.shared.assets import node_of

        return [node_of(project, name, self)]
