"""Counts of distinct numbers, however many come together in a slot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.diversity import distinct as module
from recap_assets.diversity.distinct import n_distinct

VALUES = st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 1)), max_size=200)


@given(VALUES)
@pytest.mark.parametrize(("slot_bits", "at_once", "few"), [(20, 7, 0), (3, 64, 0), (2, 5, 9)])
def test_as_many_as_a_set_has(slot_bits: int, at_once: int, few: int, values: list[int]) -> None:
    """Also with a table of few slots, where most is left over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_SLOT_BITS", slot_bits)
        patch.setattr(module, "_AT_ONCE", at_once)
        patch.setattr(module, "_FEW", few)
        assert n_distinct(np.array(values, np.uint64)) == len(set(values))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_zero_and_one_count_in_every_round(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are what empty slots hold."""
    monkeypatch.setattr(module, "_FEW", 0)
    monkeypatch.setattr(module, "_MULTIPLIERS", module._MULTIPLIERS[n - 1 :])
    for values in ([0], [1], [0, 1], [1, 1], [0, 0, 0], [1, 0, 2, 1, 0]):
        assert n_distinct(np.array(values, np.uint64)) == len(set(values))


def test_values_that_all_share_a_slot_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As hostile texts could have them: the inverse of the multiplier makes small products."""
    monkeypatch.setattr(module, "_FEW", 100)
    inverse = pow(module._MULTIPLIERS[0], -1, 2**64)
    values = [i * inverse % 2**64 for i in range(1_000)] * 3
    assert n_distinct(np.array(values, np.uint64)) == 1_000


@pytest.mark.parametrize("n_values", [1_000, 400_000, 10**9])
def test_many_values_are_counted_as_by_sorting(n_values: int) -> None:
    """With repeats, with few of them, and with next to none."""
    values = np.random.default_rng(n_values).integers(0, n_values, 300_000).astype(np.uint64)
    assert n_distinct(values.copy()) == len(np.unique(values))
