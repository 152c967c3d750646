"""Caption sources: what all kinds of them have.

`raw`, the pool's own alt-text, is always there and is not declared.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated

from recap_assets.specs.base import Spec
from recap_assets.specs.kinds import OneOf

RAW = "raw"
"""The pool's own alt-text: a caption source like any other, always there."""

MOST_CANDIDATES = 64
"""Different captions of one image that are kept; a file with more for one key is broken."""


class SourceSpec(Spec):
    """Where a source's captions come from; a kind is below `captions.kind.CaptionSource`."""

    def problems(self, models: Mapping[str, Spec]) -> Iterator[str]:  # noqa: ARG002 - of some kinds
        """What does not fit the models of the experiment, beginning with the field."""
        yield from ()


Source = Annotated[SourceSpec, OneOf("captions")]
