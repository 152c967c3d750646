"""A model whose texts say whose they are, as those that it was trained on did."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recap_assets.evalsets.embedding import Embedder, Image
from recap_assets.training.prefixes import with_prefix


class Prefixed:
    """An embedder before whose texts the name of a source is put.

    Args:
        embedder: The model.
        source: The name.
    """

    def __init__(self, embedder: Embedder, source: str) -> None:
        self._embedder, self._source = embedder, source

    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """As the model's."""
        return self._embedder.embed_images(images)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Those of the texts with their prefix."""
        return self._embedder.embed_texts([with_prefix(self._source, text) for text in texts])
