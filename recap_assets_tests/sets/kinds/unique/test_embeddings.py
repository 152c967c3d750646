"""Pairs of embeddings within a cluster are those of comparing all, however they are on disk."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from recap_assets.sets.kinds.unique import Unique, inverted_file
from recap_assets.sets.kinds.unique import embeddings as module
from recap_assets.sets.kinds.unique.embeddings import alike_embeddings, join_alike
from recap_assets.sets.kinds.unique.groups import Groups
from recap_assets.sets.kinds.unique.inverted_file import InvertedFile


def spec_of(cosine: float, clusters: int = 1) -> Unique:
    return Unique(
        kind="unique", by="embedding", scorer="clip", cosine=cosine, clusters=clusters, seed=3
    )


def near_vectors(n: int = 600) -> np.ndarray:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(n, 8)).astype(np.float32)
    vectors[n // 2 :] = vectors[: n - n // 2] + 0.2 * random.normal(size=(n - n // 2, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16)


def parts_of(vectors: np.ndarray, n_parts: int) -> list[pl.DataFrame]:
    uids = [i.to_bytes(16, "big") for i in range(len(vectors))]
    keys = [one.astype("<f2").tobytes() for one in vectors]
    whole = pl.DataFrame({"uid": uids, "key": keys})
    cuts = np.array_split(np.arange(len(vectors)), n_parts)
    return [whole[part] for part in cuts if len(part)]


def components(is_alike: np.ndarray) -> list[int]:
    """The smallest position in each one's group, by spreading it."""
    found = np.arange(len(is_alike))
    for _ in range(len(is_alike)):
        found = np.where(is_alike | np.eye(len(is_alike), dtype=bool), found, len(found)).min(
            axis=1
        )
    return found.tolist()


def cosines(vectors: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return wide @ wide.T


@pytest.fixture(params=[2_048, 7])
def block_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inverted_file, "BLOCK_ROWS", request.param)
    monkeypatch.setattr(inverted_file, "GATHERED_BYTES", request.param * 200)


@pytest.mark.usefixtures("block_rows")
@pytest.mark.parametrize("n_parts", [1, 9])
def test_groups_are_those_of_comparing_every_pair(n_parts: int) -> None:
    vectors = near_vectors()
    expected = components(cosines(vectors) >= 0.95)
    assert 10 < len(vectors) - len(set(expected)) < 400
    parts = parts_of(vectors, n_parts)
    groups = alike_embeddings(lambda: parts, len(vectors), "x", spec_of(0.95))
    assert groups.roots(np.arange(len(vectors))).tolist() == expected


@pytest.mark.usefixtures("block_rows")
def test_within_clusters_every_pair_is_compared_and_none_beyond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = near_vectors()
    centroids = np.random.default_rng(5).normal(size=(4, 8)).astype(np.float32)
    monkeypatch.setattr(module, "_learnt", lambda *_: centroids)
    parts = parts_of(vectors, 5)
    groups = alike_embeddings(lambda: parts, len(vectors), "x", spec_of(0.95, clusters=4))
    clusters = (module.unit(vectors) @ centroids.T).argmax(axis=1)
    is_alike = (cosines(vectors) >= 0.95) & (clusters[:, None] == clusters)
    assert is_alike.sum() < (cosines(vectors) >= 0.95).sum()
    assert groups.roots(np.arange(len(vectors))).tolist() == components(is_alike)


def test_centroids_depend_on_neither_parts_nor_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """K-means learns from the lowest draws, in the order of uid."""
    pytest.importorskip("faiss")
    monkeypatch.setattr(module, "LEARNT_FROM", 20)
    parts = parts_of(near_vectors(), 1)
    found = module._learnt(lambda: parts, 600, "x", spec_of(0.95, clusters=5))
    assert found.shape == (5, 8)
    shuffled = parts[0].sample(fraction=1.0, shuffle=True, seed=1)
    again = module._learnt(
        lambda: [shuffled[:100], shuffled[100:]], 600, "x", spec_of(0.95, clusters=5)
    )
    assert np.array_equal(found, again)
    monkeypatch.setattr(module, "LEARNT_FROM", 120)
    whole = module._learnt(lambda: parts, 600, "x", spec_of(0.95, clusters=5))
    assert not np.array_equal(found, whole)  # of a sample alone


def listed(vectors: np.ndarray) -> Iterator[inverted_file.Members]:
    with InvertedFile(1, vectors.shape[1]) as file:
        file.add(vectors.astype(np.float16), np.zeros(len(vectors), np.int32))
        yield from file.lists()


@pytest.mark.parametrize(("cosine", "groups"), [(0.6, 1), (0.601, 2)])
def test_a_pair_exactly_at_the_cosine_counts(cosine: float, groups: int) -> None:
    # 0.6 and 0.8 are no halves: these are three fifths to the last bit.
    vectors = np.array([[1, 0], [3, 4]], np.float16)
    found = Groups(2)
    for members in listed(vectors):
        join_alike(members, cosine, found)
    assert len(set(found.roots(np.arange(2)).tolist())) == groups


def test_equal_embeddings_are_alike_whatever_rounding_makes_of_their_cosine() -> None:
    one = np.random.default_rng(1).normal(size=(1, 768)).astype(np.float16)
    found = Groups(3)
    for members in listed(np.concatenate([one, -one, one])):
        join_alike(members, 1.0, found)
    assert found.roots(np.arange(3)).tolist() == [0, 1, 0]


def test_many_that_are_alike_are_one_group_without_a_list_of_their_pairs() -> None:
    """Thousands of one picture have millions of pairs."""
    vectors = np.ones((3_000, 4), np.float16)
    vectors[:, 0] += np.arange(3_000) % 7 * np.float16(0.001)
    found = Groups(len(vectors))
    for members in listed(vectors):
        join_alike(members, 0.99, found)
    assert not found.roots(np.arange(len(vectors))).any()


@pytest.mark.usefixtures("block_rows")
def test_each_row_is_in_its_list_once_with_its_position() -> None:
    random = np.random.default_rng(2)
    vectors = random.normal(size=(100, 3)).astype(np.float16)
    clusters = random.choice([0, 2, 5], 100).astype(np.int32)
    with InvertedFile(6, 3) as file:
        for some in np.array_split(np.arange(100), 8):
            file.add(vectors[some], clusters[some])
        assert len(file) == 100
        found = []
        for members in file.lists():
            places = [members.positions(i) for i in range(len(members.blocks))]
            rows = [members.rows(i) for i in range(len(members.blocks))]
            assert max(map(len, rows)) <= inverted_file.BLOCK_ROWS
            at = np.concatenate(places)
            assert len(set(clusters[at].tolist())) == 1
            assert np.array_equal(np.concatenate(rows), vectors[at])
            found += at.tolist()
    assert sorted(found) == list(range(100))


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare(n: int) -> None:
    parts = parts_of(np.ones((n, 4)), 1)
    groups = alike_embeddings(lambda: parts, n, "x", spec_of(0.9, clusters=3))
    assert not groups.is_joined.any()
