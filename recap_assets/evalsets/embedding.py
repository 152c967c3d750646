"""What evaluation needs of a model."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

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


T = TypeVar("T")


class Remembering:
    """An embedder that embeds nothing twice: what was embedded before is given again.

    Kept are the embeddings by a hash of pixels or text; the memory is that of the distinct rows.
    """

    def __init__(self, embedder: Embedder) -> None:
        """Remember what `embedder` gives."""
        self._embedder = embedder
        self._images: dict[bytes, NDArray[np.float32]] = {}
        self._texts: dict[bytes, NDArray[np.float32]] = {}

    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """As the embedder's."""
        keys = [_key_of_image(image) for image in images]
        keyed = dict(zip(keys, images, strict=True))
        return _remembered(self._images, keyed, keys, self._embedder.embed_images)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As the embedder's."""
        keys = [_key(text.encode(errors="surrogatepass")) for text in texts]
        keyed = dict(zip(keys, texts, strict=True))
        return _remembered(self._texts, keyed, keys, self._embedder.embed_texts)


def _remembered(
    memory: dict[bytes, NDArray[np.float32]],
    keyed: Mapping[bytes, T],
    keys: Sequence[bytes],
    embed: Callable[[Sequence[T]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    new = [key for key in keyed if key not in memory]
    if new or not keys:
        rows = embed([keyed[key] for key in new])
        memory.update(zip(new, rows, strict=True))
        if not keys:
            return rows
    return np.stack([memory[key] for key in keys])


def _key_of_image(image: Image) -> bytes:
    return _key(np.ascontiguousarray(image).tobytes(), str(image.shape).encode())


def _key(content: bytes, shape: bytes = b"") -> bytes:
    return hashlib.blake2b(content, digest_size=16, key=shape).digest()
