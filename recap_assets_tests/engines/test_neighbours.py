"""No pair of near neighbours is missed, and none is found that is not near."""

import numpy as np
import pytest

from recap_assets.engines.neighbours import embedding_pairs, hash_pairs


def near_hashes(seed: int) -> np.ndarray:
    """600 hashes, of which 200 are others with up to 16 flipped bits."""
    random = np.random.default_rng(seed)
    hashes = random.integers(-(2**63), 2**63 - 1, 400, dtype=np.int64)
    near = hashes[random.integers(0, 400, 200)].view(np.uint64)
    for i in range(200):
        for bit in random.choice(64, i % 17, replace=False):
            near[i] ^= np.uint64(1) << np.uint64(bit)
    return np.concatenate([hashes, near.view(np.int64)])


@pytest.mark.parametrize("distance", [0, 1, 3, 4, 6, 8, 11, 15])
def test_pairs_of_hashes_are_those_of_comparing_every_pair(distance: int) -> None:
    hashes = near_hashes(distance)
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1).astype(np.int32)
    apart = bits @ (1 - bits.T) + (1 - bits) @ bits.T
    expected = np.argwhere(np.triu(apart <= distance, k=1))
    assert len(expected)
    assert np.array_equal(hash_pairs(hashes, distance), expected)


def test_pairs_of_embeddings_are_those_of_comparing_every_pair() -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    vectors[200:] = vectors[:100] + 0.2 * vectors[100:200]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    expected = np.argwhere(np.triu(cosines >= 0.9, k=1))
    assert 50 < len(expected) < 5_000
    assert np.array_equal(embedding_pairs(vectors, 0.9), expected)


def test_a_pair_exactly_at_the_cosine_counts() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    assert embedding_pairs(vectors, 0.6).tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare(n: int) -> None:
    assert hash_pairs(np.zeros(n, np.int64), 6).shape == (0, 2)
    assert embedding_pairs(np.ones((n, 4), np.float32), 0.9).shape == (0, 2)
