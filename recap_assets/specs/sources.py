"""Caption sources: what all kinds of them have, and the words that kinds of models share.

`raw`, the pool's own alt-text, is always there and is not declared.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.specs.base import Spec
from recap_assets.specs.fields import Speed
from recap_assets.specs.kinds import OneOf

RAW = "raw"
"""The pool's own alt-text: a caption source like any other, always there."""

Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$"), Speed]
Precision = Literal["float32", "bfloat16", "float16"]
BatchSize = Annotated[Annotated[int, Field(gt=0, le=65_536)] | Literal["auto"], Speed]

AUTO_ROWS = 256
"""Largest batch that `batch_size: auto` tries."""

MOST_CANDIDATES = 64
"""Different captions of one image that are kept; a file with more for one key is broken."""


def images_at_once(batch_size: int | Literal["auto"]) -> int:
    """Images to read ahead of a model with this batch size."""
    return AUTO_ROWS if batch_size == "auto" else batch_size


class SourceSpec(Spec):
    """Where a source's captions come from; a kind is below `captions.kind.CaptionSource`."""

    def problems(self, models: Mapping[str, Spec]) -> Iterator[str]:  # noqa: ARG002 - of some kinds
        """What does not fit the models of the experiment, beginning with the field."""
        yield from ()


Source = Annotated[SourceSpec, OneOf("captions")]
