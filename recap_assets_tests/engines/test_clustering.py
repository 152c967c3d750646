import faiss
import numpy as np
import pytest

from recap_assets.engines.clustering import k_means


@pytest.fixture
def vectors():
    draw = np.random.default_rng(0)
    found = draw.normal(size=(600, 48)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_any_number_of_threads_gives_the_same_bits(vectors):
    before = faiss.omp_get_max_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            faiss.omp_set_num_threads(threads)
            found.append(k_means(vectors, 20, iterations=20, seed=0))
    finally:
        faiss.omp_set_num_threads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_the_seed_decides(vectors):
    one, two = (k_means(vectors, 20, iterations=3, seed=seed) for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_centroids_are_means_of_their_vectors(vectors):
    centroids = k_means(vectors, 5, iterations=100, seed=0)
    distance = ((vectors[:, None] - centroids[None]) ** 2).sum(2)
    for number, centroid in enumerate(centroids):
        members = vectors[distance.argmin(1) == number]
        assert np.allclose(members.mean(0), centroid, atol=1e-5)
