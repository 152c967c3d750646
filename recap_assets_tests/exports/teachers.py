"""A teacher without weights."""

import hashlib
from collections.abc import Sequence

import numpy as np


class MeanColours:
    """Embeds an image as its mean colour, a text as three numbers of its hash."""

    embedding_dim = 3

    def __init__(self, factor: float = 1.0) -> None:
        self._factor = factor

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        means = [image.reshape(-1, 3).mean(axis=0) / 255 for image in images]
        return np.array(means, np.float32).reshape(-1, 3) * np.float32(self._factor)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        digests = [hashlib.sha256(text.encode()).digest()[:3] for text in texts]
        found = np.array([list(digest) for digest in digests], np.float32).reshape(-1, 3)
        return found / np.float32(255) * np.float32(self._factor)
