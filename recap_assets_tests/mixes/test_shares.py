"""Shares that are shown add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.mixes.shares import percentages


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ([1657, 144], [92.0, 8.0]),
        ([919, 81], [91.9, 8.1]),
        ([1, 1, 1], [33.4, 33.3, 33.3]),
        ([9195, 805], [92.0, 8.0]),
        ([7], [100.0]),
        ([], []),
        ([3, 0], [100.0, 0.0]),
    ],
)
def test_shares_are_tenths_that_add_up(counts: list[int], shown: list[float]) -> None:
    assert percentages([count / sum(counts) for count in counts]) == shown


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=30).filter(any))
def test_no_share_is_a_tenth_or_more_from_what_it_is(counts: list[int]) -> None:
    shares = [count / sum(counts) for count in counts]
    shown = percentages(shares)
    assert sum(round(10 * one) for one in shown) == 1000
    assert all(
        abs(one - 100 * share) < 0.1 + 1e-6 for one, share in zip(shown, shares, strict=True)
    )
