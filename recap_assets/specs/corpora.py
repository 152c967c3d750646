"""Corpora that the platform's own models learn from: what every kind of them has.

A kind is below `training.corpora.kind.CorpusKind`.
"""

from collections.abc import Sequence
from typing import Annotated

from recap_assets.specs.base import Spec
from recap_assets.specs.kinds import OneOf


class CorpusSpec(Spec):
    """What models learn from: images with captions, or rows of texts."""

    @property
    def notes(self) -> Sequence[str]:
        """What a report must say of models that learn from it."""
        return ()


Corpus = Annotated[CorpusSpec, OneOf("corpora")]
