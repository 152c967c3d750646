"""A scorer over the words of a vocabulary, that this experiment trains."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recap_assets.engines.protocols import Places, Scorer
from recap_assets.scores.kind import ByEmbeddings
from recap_assets.specs.base import Name
from recap_assets.specs.running import Rows, TrainedHere

if TYPE_CHECKING:
    import polars as pl

SHOWN_IMAGES = 8
SHOWN_WORDS = 8


class VocabularyScorer(TrainedHere, ByEmbeddings):
    """How alike the words are that image and text stand for, by a model of kind vocabulary.

    Both are sparse vectors over the words of a vocabulary (VDR, arXiv 2212.07699), and the score is
    their cosine, from 0 to 1. A dimension is a word, so that an image's embedding names its words:
    some are shown with the asset `image_embeddings/NAME`. An image takes 2 bytes a word of the
    vocabulary before compression, most of them 0.
    """

    example = """\
words: {kind: vocabulary, model: lexical}   # a model of the kind vocabulary
"""
    score_is = "cosine of image and caption over the words of a vocabulary"
    trained_as = "vocabulary"

    kind: Literal["vocabulary"]
    model: Name = Field(description="A model of kind vocabulary in this experiment.")
    batch_size: Rows = 128

    def open(self, places: Places) -> Scorer:
        """The model that was trained."""
        from recap_assets.engines.small.loading import load_small_vocabulary

        return load_small_vocabulary(places.models / self.model, self.batch_size, self.device)

    def shown(self, scorer: Scorer, images: "pl.DataFrame") -> Mapping[str, str]:
        """The words of the first images."""
        from recap_assets.scores.kinds.vocabulary.words import words_of_images

        return {"words": words_of_images(scorer, images.head(SHOWN_IMAGES), SHOWN_WORDS)}
