"""How alike an image is to those of a target set."""

from typing import TYPE_CHECKING

from recap_assets.scores.of_images.kinds.norm_sim.spec import NormSimSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class NormSim(NormSimSpec):
    """The norm of an image's cosines with those of a target set, such as ImageNet's.

    NormSim_p = (sum_t |c(t, image)|^p)^(1/p) over the target images t (arXiv 2405.19547, its
    section 4): with `norm: max` the greatest, so that one alike image is enough; with `norm: 2` the
    root of the sum of squares, which grows with how many are alike. Cosines are of the scorer's
    cached embeddings. The target is what an image-based set takes, and is embedded once.
    """

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """The embedded target, and the scores."""
        from recap_assets.scores.of_images.kinds.norm_sim.assets import nodes_of

        return nodes_of(project, name, self)
