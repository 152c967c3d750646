"""A CLIP's cosine, less what the loss of its training takes from it."""

from typing import TYPE_CHECKING

from recap_assets.scores.kinds.clip_loss.spec import NegClipLossSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class NegClipLossScorer(NegClipLossSpec):
    """A CLIP's cosine, less how well image and text fit the others of random batches.

    With cosines c(i, j) of image i and text j in a batch, the score of pair i is
    c(i, i) - T/2 (log sum_j exp(c(i, j)/T) + log sum_j exp(c(j, i)/T)), averaged over `rounds` cuts
    into batches. A text that fits every image scores low however well it fits its own. This is
    negCLIPLoss, since called s-CLIPLoss (arXiv 2405.19547, its section 3; T = 0.01, batches of
    32,768). Scores are 0 or less.

    Batches are drawn by (seed, uid) from one pool partition, among candidates of one number, as
    even as can be and of at most `batch_size`. So a score depends on what else is in its partition,
    and not on the order of anything. Cosines are of the scorer's cached image embeddings; the texts
    are embedded anew and kept on the disk meanwhile. Memory is for one batch's embeddings.
    """

    def nodes(self, name: str, source: str, project: "Project") -> "list[Node]":
        """The scores."""
        from recap_assets.scores.kinds.clip_loss.assets import nodes_of

        return nodes_of(project, name, source, self)
