"""What evaluation needs of a model."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""Decoded RGB, shape (height, width, 3), any size."""


class Embedder(Protocol):
    """Embeds images and texts into one space; the score of a pair is the cosine.

    A row must not depend on the other rows of its call: then the batch size changes no result.
    """

    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, dim)."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, dim)."""
        ...
