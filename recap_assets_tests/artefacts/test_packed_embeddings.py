"""Embeddings as they are stored, and as arrays."""

import numpy as np
import polars as pl
import pytest

from recap_assets.artefacts.scores import halves_of, vectors_of

VECTORS = np.random.default_rng(0).normal(size=(9, 5)).astype("<f2")
PACKED = pl.Series([one.tobytes() for one in VECTORS])


@pytest.mark.parametrize(
    "packed",
    [
        PACKED,
        pl.concat([PACKED[:4], PACKED[4:]], rechunk=False),
        pl.concat([PACKED[7:], PACKED, PACKED], rechunk=False)[2:11],
        PACKED.reverse().reverse(),
        PACKED.to_frame("one").filter(pl.Series([True] * 9))["one"],
    ],
    ids=["one chunk", "two chunks", "a slice of three", "gathered", "filtered"],
)
def test_an_array_has_a_row_for_each_embedding(packed: pl.Series) -> None:
    np.testing.assert_array_equal(halves_of(packed), VECTORS)
    found = vectors_of(packed)
    np.testing.assert_array_equal(found, VECTORS.astype("f4"))
    assert (found.dtype, found.flags.writeable) == (np.float32, True)
    np.testing.assert_array_equal(halves_of(packed[3:5]), VECTORS[3:5])


def test_embeddings_of_several_widths_are_no_array() -> None:
    with pytest.raises(ValueError, match="not of one length"):
        vectors_of(pl.Series([b"1234", b"12", b"123456"]))
