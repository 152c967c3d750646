"""Several scores made into one."""

from typing import TYPE_CHECKING

from recap_assets.scores.kinds.combined.spec import CombinedSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class CombinedScorer(CombinedSpec):
    """The sum, product, least or greatest of other scores, each scaled by the whole pool's.

    A part is a scorer, whose score of the text is taken, or an image scorer, whose score of the
    image counts for each of its texts. A text without one of the scores has none. `scale` is:

    - `raw`: the score as it is;
    - `z`: less the mean, over the standard deviation (n); 0 where all scores are the same;
    - `rank`: the share of scores below, and half of those that are equal (the midrank), where
      scores in one bin of 1e-4 count as equal;
    - `minmax`: 0 for the lowest and 1 for the highest; 0 where all are the same.

    Scores are those of each image's best candidate, of the source that is scored, or of the one
    that `over` names. Without `over` each source has a scale of its own, so that `best_of` compares
    places and not scores; with it a score means the same whichever source it is of, and may lie
    beyond the reference's bounds.

    DFN and HYPE's sums of signals (arXiv 2309.17425, 2404.17507), T-MARS's (2307.03132) and SIEVE's
    fusion with CLIP (2310.02110, half and half of min-max) are written so.
    """

    def nodes(self, name: str, source: str, project: "Project") -> "list[Node]":
        """The scores, and what they are scaled by."""
        from recap_assets.scores.kinds.combined.assets import nodes_of

        return nodes_of(project, name, source, self)
