"""Words that images stand for, as a scorer of the kind vocabulary embeds them."""

from typing import cast

import polars as pl

from recap_assets.artefacts.previews import preview_markdown
from recap_assets.artefacts.scores import vectors_of
from recap_assets.engines.protocols import Scorer
from recap_assets.engines.small.vocabulary import SmallVocabularyScorer, words_of


def words_of_images(scorer: Scorer, images: pl.DataFrame, most: int) -> str:
    """A Markdown table of images and their words with weights, the largest first.

    Args:
        scorer: An open scorer of the kind.
        images: Columns uid and embedding, as it embedded them.
        most: Words of an image.
    """
    if images.is_empty():
        return "No images."
    named = cast("SmallVocabularyScorer", scorer).named(vectors_of(images["embedding"]), most)
    return preview_markdown(images.select("uid").with_columns(words=pl.Series(words_of(named))))
