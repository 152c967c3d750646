"""Caption sources: what all kinds of them have.

`raw`, the pool's own alt-text, is always there and is not declared.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from recap_assets.specs.base import Spec
from recap_assets.specs.conditions import ConditionSpec
from recap_assets.specs.kinds import OneOf

USED_ONLY = "used"
"""The `only` of a source that captions what a mix may take."""

Only = Literal["used"] | ConditionSpec
"""Which images a source captions: by a condition, or what a mix may take."""

RAW = "raw"
"""The pool's own alt-text: a caption source like any other, always there."""

MOST_CANDIDATES = 64
"""Different captions of one image that are kept; a file with more for one key is broken."""


class SourceSpec(Spec):
    """Where a source's captions come from; a kind is below `captions.kind.CaptionSource`."""

    of_image_alone: ClassVar[bool] = False
    """Whether an image's texts are made of that image and its own texts alone."""

    @property
    def captions_only(self) -> Only | None:
        """Which images it captions; None captions all."""
        return None

    def problems(self, models: Mapping[str, Spec]) -> Iterator[str]:  # noqa: ARG002 - of some kinds
        """What does not fit the models of the experiment, beginning with the field."""
        yield from ()


Source = Annotated[SourceSpec, OneOf("captions")]
