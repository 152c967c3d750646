"""Codes are searched as the embeddings are, up to what rounding changes."""

import faiss
import numpy as np
import pytest

from recap_assets.engines.vector_codes import BITS, Codes

LEAST_FOUND = {16: 1.0, 8: 0.97, 6: 0.9, 4: 0.7}


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    rows = np.random.default_rng(0).standard_normal((4_000, 64)).astype(np.float32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize("bits", BITS)
def test_the_nearest_are_found_as_far_as_they_are_not_rounded(drawn: np.ndarray, bits: int) -> None:
    codes = Codes(64, bits)
    for part in np.split(drawn, 4):
        codes.add(part)
    assert len(codes) == len(drawn)
    wide = drawn.astype(np.float32)
    shares = []
    for query in wide[:20]:
        cosines, places = codes.nearest(query, 100)
        exact = wide @ query
        assert np.abs(cosines - exact[places]).max() < 2.0 ** (2 - bits / 2)
        assert (np.diff(cosines) <= 0).all()
        shares.append(len({*places} & {*np.argsort(-exact)[:100]}) / 100)
    assert np.mean(shares) >= LEAST_FOUND[bits]


def test_more_than_there_are_is_all_of_them(drawn: np.ndarray) -> None:
    codes = Codes(64, 8)
    codes.add(drawn[:5])
    cosines, places = codes.nearest(drawn[0].astype(np.float32), 24)
    assert sorted(places) == [0, 1, 2, 3, 4]
    assert places[0] == 0
    assert cosines[0] == pytest.approx(1, abs=0.02)


def test_a_search_leaves_the_threads_as_they_are(drawn: np.ndarray) -> None:
    before = faiss.omp_get_max_threads()
    codes = Codes(64, 16)
    codes.add(drawn[:100])
    try:
        faiss.omp_set_num_threads(3)
        codes.nearest(drawn[0].astype(np.float32), 2)
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)
