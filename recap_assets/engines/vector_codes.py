"""Embeddings as codes of some bits a number, searched by faiss on the CPU."""

import faiss  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

_QUANTIZERS = {
    16: faiss.ScalarQuantizer.QT_fp16,
    8: faiss.ScalarQuantizer.QT_8bit,
    6: faiss.ScalarQuantizer.QT_6bit,
    4: faiss.ScalarQuantizer.QT_4bit,
}

BITS = tuple(_QUANTIZERS)
"""Of a number of a code. With 16, embeddings of float16 are kept as they are; below, each dimension
is rounded between the least and the greatest of its first values."""


class Codes:
    """Embeddings of unit length, rounded, and searched by comparing all of them.

    Args:
        dimension: Of the embeddings.
        bits: One of BITS.
    """

    def __init__(self, dimension: int, bits: int) -> None:
        inner = faiss.METRIC_INNER_PRODUCT
        self._index = faiss.IndexScalarQuantizer(dimension, _QUANTIZERS[bits], inner)

    def __len__(self) -> int:
        return self._index.ntotal

    def add(self, vectors: NDArray[np.float16]) -> None:
        """More embeddings, of shape (n, dimension); the first ones set the ends of each dimension.

        Those that follow are cut off at these ends.
        """
        rows = np.ascontiguousarray(vectors, np.float32)
        if not self._index.is_trained:
            self._index.train(rows)
        self._index.add(rows)

    def nearest(
        self, query: NDArray[np.float32], n: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Cosines and positions of the embeddings nearest to one of unit length, at most n."""
        threads = faiss.omp_get_max_threads()
        # It shares queries out and not codes: of one query, a second thread is only waited for.
        faiss.omp_set_num_threads(1)
        found = self._index.search(query[None], min(n, len(self)))
        faiss.omp_set_num_threads(threads)
        return found[0][0], found[1][0]
