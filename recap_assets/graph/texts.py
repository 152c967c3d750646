"""Edges to the texts of caption sources, the pool's own among them."""

from typing import Literal

from recap_assets.artefacts.captions import texts_key
from recap_assets.artefacts.facets import FIRST_TEXTS, TEXTS
from recap_assets.graph.node import Dependency
from recap_assets.specs.sources import RAW


def texts_read(source: str, partitions: Literal["same", "all"] = "same") -> Dependency:
    """The edge of who reads texts with `artefacts.captions.texts_of`."""
    return Dependency(texts_key(source), partitions, (TEXTS,))


def first_texts_read(source: str, partitions: Literal["same", "all"] = "same") -> Dependency:
    """The edge of who reads texts with `artefacts.captions.first_texts`."""
    # The pool has one text for each image.
    facet = TEXTS if source == RAW else FIRST_TEXTS
    return Dependency(texts_key(source), partitions, (facet,))
