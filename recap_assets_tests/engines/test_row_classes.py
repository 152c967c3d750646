"""Numbers of rows that agree are found by trying, on kernels that differ as those of GPUs do."""

import json

import pytest
import torch

from recap_assets.engines.row_classes import REFERENCE, Found, RowClass, at_least
from recap_assets.engines.row_counts import UNITS

H200 = {"device": "H200", "torch": "2.15"}


class Device:
    """Sums rows in an order that depends on how many there are.

    Args:
        agree_from: Fewer rows than this have bits of their own.
        fits: More rows than this run out of memory.
        by_place: Whether a row's place decides its bits.
    """

    def __init__(self, agree_from=56, fits=1 << 20, *, by_place=False) -> None:
        self.agree_from, self.fits, self.by_place = agree_from, fits, by_place
        self.tried: list[int] = []

    def __call__(self, numbers):
        self.tried.append(len(numbers))
        if len(numbers) > self.fits:
            msg = "CUDA out of memory"
            raise torch.OutOfMemoryError(msg)
        assert numbers.max() < max(UNITS)
        rows = numbers[:, None].float().expand(-1, 3) / 7
        yield rows
        off = torch.zeros(len(numbers))
        if len(numbers) < self.agree_from:
            off += 1e-7
        if self.by_place:
            off[len(numbers) // 2 :] += 1e-7
        yield rows + off[:, None]


def test_the_numbers_that_agree_are_those_from_which_on_kernels_agree():
    assert RowClass().find(Device(), 64) == Found(REFERENCE, REFERENCE, (64, 128, 256))
    assert RowClass().find(Device(agree_from=0), 64).counts == (8, 16, 32, 64, 128, 256)


def test_a_larger_batch_is_tried_when_it_is_asked_for():
    device, rows = Device(), RowClass()
    assert rows.find(device, 64).most == REFERENCE
    n_tried = len(device.tried)
    assert rows.find(device, 200).most == REFERENCE
    assert len(device.tried) == n_tried
    assert rows.find(device, 700).counts == (64, 128, 256, 512, 704)
    assert device.tried[n_tried:] == [256, 512, 704]  # the others are known


def test_what_does_not_fit_is_left_out():
    found = RowClass().find(Device(fits=600), 2_000)
    assert found.counts == (64, 128, 256, 512)
    assert found.holds


def test_where_the_reference_does_not_fit_the_class_does_not_hold():
    found = RowClass().find(Device(fits=100), 64)
    assert found == Found(64, REFERENCE, (64,))
    assert not found.holds


def test_where_a_place_decides_no_number_agrees():
    found = RowClass().find(Device(by_place=True), 64)
    assert found.counts == ()
    assert not found.holds


def test_other_errors_are_not_swallowed():
    def probe(_numbers):
        msg = "not finite"
        raise FloatingPointError(msg)

    rows = RowClass()
    with pytest.raises(FloatingPointError):
        rows.find(probe, 64)
    assert rows.found is None


def test_a_finding_is_kept_for_the_class_of_device(tmp_path):
    file = tmp_path / "row_classes.json"
    found = RowClass(H200, file).find(Device(), 512)
    never = Device()
    assert RowClass(H200, file).find(never, 512) == found
    assert not never.tried
    other = RowClass(H200 | {"torch": "2.16"}, file).find(Device(agree_from=0), 64)
    assert other.counts[0] == 8
    assert RowClass(H200, file).find(never, 300) == found
    assert len(json.loads(file.read_text())) == 2


@pytest.mark.parametrize(
    "content",
    ["", "[", "{}", "3", "[3]", '[{"device": "H200", "torch": "2.15"}]',
     '[{"device": "H200", "torch": "2.15", "found": {"reference": 256, "most": 256}}]',
     '[{"device": "H200", "torch": "2.15", "found": {"reference": "x", "most": 1, "counts": 3}}]'],
)  # fmt: skip
def test_a_damaged_file_is_found_out_again(tmp_path, content):
    file = tmp_path / "row_classes.json"
    file.write_text(content)
    assert RowClass(H200, file).find(Device(), 64).counts == (64, 128, 256)
    assert RowClass(H200, file).find(Device(agree_from=0), 64).counts == (64, 128, 256)


def test_a_number_holds_at_least_the_rows():
    assert [at_least((64, 128), n) for n in (1, 64, 65, 128, 129)] == [64, 64, 128, 128, None]
