"""Captions of the regions of an image."""

from typing import TYPE_CHECKING

from recap_assets.captions.kinds.regions.spec import RegionsSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class RegionsSource(RegionsSpec):
    """What a captioner says of the regions of an image, each region a candidate.

    A column of the pool has the boxes: four numbers a box, one box after another, which is what a
    list of lists in the json becomes. Each of the first `keep` boxes is cut out and captioned as an
    image of its own, whose uid is a hash of the image's uid and the box; where the captioner has
    several `candidates`, each region has as many. Boxes are cut off at the image's edges, and those
    of less than `smallest` pixels a side are left out. An image without a box is set aside as
    `without_COLUMN` or `no_boxes`.

    GRAIN (arXiv 2412.04429) learns from region descriptions beside the caption; with
    `candidates: all` in a mix and `training.positives: all` they are further positives of the
    image. FlexCap (arXiv 2403.12026) describes boxes.
    """

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """One asset."""
        from recap_assets.captions.kinds.regions.assets import node_of

        return [node_of(project, name, self)]
