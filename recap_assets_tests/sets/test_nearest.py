import numpy as np
import pytest

from recap_assets.sets import nearest
from recap_assets.sets.nearest import nearest_centroids


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def test_it_is_the_greatest_inner_product_and_not_the_smallest_distance():
    centroids = np.array([[1.0, 0.0], [9.0, 9.0]], np.float32)
    assert nearest_centroids(np.array([[1.0, 0.1]]), centroids).tolist() == [1]


def test_it_agrees_with_exact_arithmetic_near_ties_included(draw):
    centroids = draw.normal(size=(50, 24)).astype(np.float32)
    # Twins that differ in the last bits, which a matrix kernel rounds either way.
    twins = centroids[:10] * np.float32(1 + 1e-7)
    centroids = np.concatenate([centroids, twins])
    vectors = draw.normal(size=(400, 24)).astype(np.float16)
    exact = centroids.astype(np.float64)[None] * vectors.astype(np.float64)[:, None]
    assert nearest_centroids(vectors, centroids).tolist() == exact.sum(2).argmax(1).tolist()


def test_ties_go_to_the_first(draw):
    one = draw.normal(size=(1, 8)).astype(np.float32)
    assert nearest_centroids(one, np.repeat(one, 5, axis=0)).tolist() == [0]


def test_neither_the_other_vectors_nor_the_blocks_matter(draw, monkeypatch):
    centroids = draw.normal(size=(30, 16)).astype(np.float32)
    centroids = np.concatenate([centroids, centroids * np.float32(1 + 6e-8)])
    vectors = draw.normal(size=(101, 16)).astype(np.float32)
    whole = nearest_centroids(vectors, centroids)
    alone = [nearest_centroids(vectors[i : i + 1], centroids)[0] for i in range(len(vectors))]
    assert whole.tolist() == alone
    monkeypatch.setattr(nearest, "_CELLS", 7 * len(centroids))
    assert nearest_centroids(vectors, centroids).tolist() == alone


def test_nothing_has_no_centroid():
    assert nearest_centroids(np.empty((0, 4)), np.ones((2, 4), np.float32)).shape == (0,)
