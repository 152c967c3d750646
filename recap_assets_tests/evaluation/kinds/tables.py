"""Embedders that say what a table says, for sets whose right values are computed beside."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Told:
    """Embeds a grey image by its value, and a text by itself."""

    def __init__(self, images: Mapping[int, Vectors], texts: Mapping[str, Vectors]) -> None:
        self.images, self.texts = images, texts
        self.n_embedded = 0

    def embed_images(self, images: Sequence[np.ndarray]) -> Vectors:
        self.n_embedded += len(images)
        return np.array([self.images[int(image[0, 0, 0])] for image in images], np.float32)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        self.n_embedded += len(texts)
        return np.array([self.texts[text] for text in texts], np.float32)


def coarse(rng: np.random.Generator, n: int, dim: int = 3) -> Vectors:
    """Unit-length vectors of few values, so that many cosines tie."""
    vectors = rng.integers(-1, 2, (n, dim)).astype(np.float64)
    vectors[~vectors.any(axis=1)] = 1.0
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cosine(one: Vectors, other: Vectors) -> float:
    """As all scores are: summed in double precision, rounded once."""
    total = sum(float(a) * float(b) for a, b in zip(one, other, strict=True))
    return float(np.float32(total))


def assert_values(
    found: Mapping[str, tuple[float, int]], expected: Mapping[str, tuple[float, int]]
) -> None:
    """The expected metrics are there, with their values and counts."""
    assert {name: found[name][1] for name in expected} == {n: one[1] for n, one in expected.items()}
    for name, (value, _n) in expected.items():
        assert abs(found[name][0] - value) < 1e-12, name
