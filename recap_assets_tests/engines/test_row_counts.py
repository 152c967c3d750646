"""Bits that no neighbour changes, also from kernels that would: numbers of rows are tried out."""

import numpy as np
import pytest
import torch

from recap_assets.engines import row_counts
from recap_assets.engines.row_counts import (
    EvenPasses,
    RowCounts,
    example_pixels,
    example_tokens,
    filled,
)

pytestmark = pytest.mark.bits
CPU = torch.device("cpu")
ROWS = torch.arange(1.0, 71.0)[:, None].repeat(1, 3)


class Kernel:
    """Doubles its rows, with a last bit that depends on what its `fault` says."""

    def __init__(self, fault):
        self.fault, self.counts = fault, []

    def __call__(self, rows):
        self.counts.append(len(rows))
        places = torch.arange(len(rows))
        return rows * 2 + self.fault(len(rows), places)[:, None] * 1e-3

    def probe(self, numbers):
        return [self(ROWS[numbers])]


def even(_n, places):
    return places * 0


def eight_differ(n, places):
    """AVX-512: what is left of sixteen rows goes through another kernel."""
    return places * 0 + (n % 16 != 0)


def sixteen_depend_on_the_place(n, places):
    return places * (n % 16 == 0)


def many_differ(n, places):
    return places * 0 + (n > 32)


def places_differ(n, places):
    """Threads meet in the middle; a row alone is first and last at once."""
    return places * (n > 1)


@pytest.mark.parametrize(
    ("fault", "unit", "widths"),
    [
        (even, 16, {8, 16, 24, 32, 40, 48, 56, 64}),
        (eight_differ, 16, {16, 32, 48, 64}),
        (sixteen_depend_on_the_place, 8, {8, 24, 40, 56}),
        (many_differ, 16, {8, 16, 24, 32}),
        (places_differ, 1, {1}),
    ],
)
def test_only_numbers_of_rows_with_the_bits_of_the_unit_are_used(fault, unit, widths):
    counts, probe = RowCounts(), Kernel(fault).probe
    assert counts.unit(probe) == unit
    assert {counts.at_most(n, probe) for n in range(1, 65)} | {unit} == {
        width for width in widths if width >= unit
    }
    smallest = {counts.at_least(n, 64, probe) for n in range(1, 65)} - {None}
    assert smallest == widths


@pytest.mark.parametrize(
    "fault", [even, eight_differ, sixteen_depend_on_the_place, many_differ, places_differ]
)
@pytest.mark.parametrize("batch_size", [1, 5, 16, 64, 100])
def test_results_are_the_same_bits_in_any_batch_and_order(fault, batch_size):
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(ROWS)))

    def result(rows, size):
        kernel, passes = Kernel(fault), EvenPasses(CPU)
        return torch.cat(list(passes.run(kernel, rows, size, lambda _: ROWS[:16])))

    expected = result(ROWS, 32)
    assert torch.equal(result(ROWS[order], batch_size), expected[order])
    assert torch.equal(result(ROWS[7:9], batch_size), expected[7:9])


def test_what_was_found_is_kept_for_a_number_of_threads(monkeypatch):
    kernel, counts = Kernel(even), RowCounts()
    counts.at_least(24, 24, kernel.probe)
    tried = len(kernel.counts)
    counts.at_least(24, 24, kernel.probe)
    assert len(kernel.counts) == tried
    monkeypatch.setattr(row_counts.torch, "get_num_threads", lambda: 77)
    counts.at_least(24, 24, kernel.probe)
    assert len(kernel.counts) == 2 * tried


def test_a_gpu_always_computes_the_full_batch():
    kernel = Kernel(even)
    passes = EvenPasses(torch.device("cuda"))
    rows = torch.cat(list(passes.run(kernel, ROWS, 60, lambda _: ROWS[:16])))
    assert torch.equal(rows, ROWS * 2)
    assert kernel.counts == [64, 64]


def test_examples_are_different_rows_of_the_kind_of_the_first():
    pixels = example_pixels(torch.zeros(8, 8, 3, dtype=torch.uint8))
    tokens = example_tokens(torch.tensor([1, 900, 0]))
    for examples in (pixels, tokens):
        assert len(torch.unique(examples, dim=0)) == len(examples) == 16
    assert (pixels.dtype, tuple(pixels.shape[1:])) == (torch.uint8, (8, 8, 3))
    assert tokens.max() == 900
    assert (tokens[:, -1] == 900).all()
    assert tokens.min() > 0


def test_rows_are_filled_with_the_last():
    assert filled(torch.tensor([1, 2]), 4).tolist() == [1, 2, 2, 2]
    assert filled(torch.tensor([1, 2]), 2).tolist() == [1, 2]
