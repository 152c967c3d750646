"""The parts of a longer text, each a candidate: what a user writes."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.captions.kind import OwnAssets
from recap_assets.specs.prompts import TEXT_NAMES
from recap_assets.specs.references import Reference
from recap_assets.specs.sources import MOST_CANDIDATES


class SplitSpec(OwnAssets):
    """The sentences of another source's texts, or of a column of the pool, each a candidate."""

    example = """\
sentences: {kind: split, source: long, at: sentence, keep: 8}   # candidates 0 to 7
"""

    of_image_alone = True

    kind: Literal["split"]
    source: str = Field(
        description="The source, or the column of the pool; of candidates the first usable one is "
        "split."
    )
    at: Literal["sentence", "comma", "newline"] = Field(
        default="sentence",
        description="Where: at the ends of sentences (not at those of abbreviations, numbers and "
        "initials) and lines, at commas and semicolons as well, or at the ends of lines alone.",
    )
    keep: Annotated[int, Field(gt=0, le=MOST_CANDIDATES)] = Field(
        default=8, description="Parts kept, the first ones; a repeated part counts once."
    )

    def refers(self) -> Iterator[Reference]:
        """The source or column."""
        yield Reference("source", self.source, TEXT_NAMES)
