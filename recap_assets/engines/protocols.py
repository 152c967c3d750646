"""What a captioner and a scorer are. No torch here: stages and tests import it freely."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BATCH_MULTIPLE = 8
"""Batches are padded to a multiple of this many rows.

The matrix kernels of the CPU give a row the same bits in every batch of such a size, and other
bits in odd ones: with the padding a result does not depend on its neighbours.
"""

Image = NDArray[np.uint8]
"""Decoded RGB, shape (height, width, 3), any size."""


@dataclass(frozen=True)
class Caption:
    """One caption of one image.

    Attributes:
        text: As decoded, without special tokens, white space stripped.
        log_probability: Sum over its tokens under the model (temperature 1), natural log.
        n_tokens: Tokens written, without the end mark.
        truncated: True where max_tokens ended it.
    """

    text: str
    log_probability: float
    n_tokens: int
    truncated: bool


class Captioner(Protocol):
    """Writes captions; the same for an image whatever the batch, the order or the shard."""

    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order."""
        ...


class Scorer(Protocol):
    """Embeds images and texts into one space; the score of a pair is the cosine."""

    embedding_dim: int

    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim)."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim)."""
        ...
