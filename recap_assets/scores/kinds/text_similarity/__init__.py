"""How alike a text is to captions of the same image."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recap_assets.engines.protocols import Places
from recap_assets.scores.kinds.text_similarity.spec import TextSimilaritySpec
from recap_assets.specs.findings import Finding

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class TextSimilarityScorer(TextSimilaritySpec):
    """How alike a text is to the captions that another source has for its image; no image is read.

    The score is the greatest cosine of the text's embedding with those of the image's captions,
    candidates of one source, after phrases that say nothing of an image ("a photo of") are taken
    out of both. This is SIEVE (arXiv 2310.02110, its section 3): several sampled captions of a
    small captioner, and a sentence encoder. Texts are embedded by the text tower of a `scorer`, or
    by a sentence `encoder` of the hub. A text of which nothing is left has no score, nor has one
    whose image has no caption.
    """

    def nodes(self, name: str, source: str, project: "Project") -> "list[Node]":
        """The scores."""
        from recap_assets.scores.kinds.text_similarity.assets import nodes_of

        return nodes_of(project, name, source, self)

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:
        """Whether the encoder loads, if it is on this machine."""
        if self.encoder is not None:
            yield from self.encoder.doctor(f"{where}.encoder", places)
