"""Rows come in the very order that sorting by all keys gives."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.storage import sorting
from recap_assets.storage.sorting import sort_rows

COLUMNS = {
    pl.Int16: st.integers(-1, 1),
    pl.Float32: st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("-inf")]),
    pl.Boolean: st.booleans(),
    pl.String: st.sampled_from(
        ["", "a", "eight ch", "eight ch\x00", "eight chars", "\U0001f600" * 3]
    ),
    pl.Binary: st.sampled_from([b"8 bytes.", b"8 bytes.\x00", b"8 bytes.\x01", b"\xff" * 16]),
}


@pytest.fixture(autouse=True, scope="module", params=["few", "many"])
def _rows_count_as(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "many":
            patch.setattr(sorting, "FEW_ROWS", 0)
        yield


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    n = draw(st.integers(0, 12))
    dtypes = draw(st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=5))
    columns = []
    for i, dtype in enumerate(dtypes):
        values = COLUMNS[dtype] if draw(st.booleans()) else st.none() | COLUMNS[dtype]
        drawn = draw(st.lists(values, min_size=n, max_size=n))
        columns.append(pl.Series(f"column {i}", drawn, dtype=dtype))
    return pl.DataFrame(columns)


@given(frames())
def test_the_order_is_that_of_all_keys(frame: pl.DataFrame) -> None:
    assert sort_rows(frame, frame.columns).equals(frame.sort(frame.columns, nulls_last=True))


@given(frames())
def test_some_columns_are_no_keys(frame: pl.DataFrame) -> None:
    carried = frame.with_row_index("carried")
    keys = frame.columns
    expected = carried.sort(*keys, nulls_last=True).select(keys)
    found = sort_rows(carried, keys)
    assert found.select(keys).equals(expected)
    assert found.sort("carried").equals(carried)


def test_rows_tied_at_the_leading_numbers_are_sorted_by_the_rest() -> None:
    frame = pl.DataFrame({"n": [2, 1, 2, 2, 1], "text": ["b", "z", "a", "c", "y"], "k": range(5)})
    assert sort_rows(frame, ["n", "text"])["k"].to_list() == [4, 1, 2, 0, 3]


@pytest.mark.parametrize("n_values", [10**12, 20_000, 30])
def test_a_first_column_that_decides_nearly_all_leaves_the_ties_to_the_others(
    n_values: int,
) -> None:
    draw, n = np.random.default_rng(n_values), 20_000
    frame = pl.DataFrame(
        {
            "image_hash": draw.integers(0, n_values, n),
            "rule": draw.integers(0, 2, n, dtype=np.int16),
            "score": draw.integers(0, 4, n).astype(np.float32),
            "text": [f"text {number}" for number in draw.integers(0, 50, n)],
        }
    )
    keys = frame.columns
    assert sort_rows(frame, keys).equals(frame.sort(keys, nulls_last=True))
    some_null = frame.with_columns(
        image_hash=pl.when(pl.int_range(pl.len()) % 9 > 0).then("image_hash")
    )
    assert sort_rows(some_null, keys).equals(some_null.sort(keys, nulls_last=True))
