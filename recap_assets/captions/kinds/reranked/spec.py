"""The best candidates of another caption source, as a source of its own: what a user writes."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.captions.kind import OwnAssets
from recap_assets.specs.references import Reference
from recap_assets.specs.sources import MOST_CANDIDATES


class RerankedSpec(OwnAssets):
    """The best candidates of another source by a scorer, renumbered from 0.

    Several in a row make a cascade: LAION-COCO's 40 candidates, of which CLIP L/14 keeps 5 and
    RN50x64 picks 1.
    """

    example = """\
blip2_best: {kind: reranked, source: blip2, scorer: l14, keep: 1}   # best of its `candidates`
"""

    of_image_alone = True

    kind: Literal["reranked"]
    source: str = Field(description="The source whose candidates are ranked.")
    scorer: str = Field(description="The scorer that ranks them.")
    keep: Annotated[int, Field(gt=0, le=MOST_CANDIDATES)] = Field(
        default=1, description="Candidates kept; ties go to the lower number."
    )

    def refers(self) -> Iterator[Reference]:
        """The source and the scorer."""
        yield Reference("source", self.source, "sources")
        yield Reference("scorer", self.scorer, "scorers")
