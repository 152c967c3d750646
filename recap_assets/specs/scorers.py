"""Scorers of image and text: what all kinds of them are to the rest of an experiment."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from recap_assets.specs.base import Spec
from recap_assets.specs.kinds import OneOf


class ScorerSpec(Spec):
    """How well a text fits its image; a kind is below `scores.kind.Scoring`."""

    of_pair_alone: ClassVar[bool] = False
    """Whether a text of an image has the same score whatever else is scored."""

    bounded: ClassVar[bool] = True
    """Whether every score is in [-1, 1]; otherwise it is any finite number."""

    def metadata_columns(self) -> Iterator[tuple[str, str]]:
        """Columns of the pool's metadata that it reads: the field that names it, the column."""
        yield from ()


Scorer = Annotated[ScorerSpec, OneOf("scores")]
