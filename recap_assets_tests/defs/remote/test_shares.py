"""Which shards workers are given where a build has a budget."""

from collections.abc import Mapping
from dataclasses import replace

from recap_assets.defs.remote.address import Address, Answer
from recap_assets.defs.remote.workers import _affordable, _count
from recap_assets.graph.budget import Budget, Meter, Rate
from recap_assets.graph.node import Step

ASSET = "synthetic_captions/a"
WHOLE = Address("{}", "data", None, ASSET, "code", "0", "print", ())
WAITING = [replace(WHOLE, shard=number) for number in (4, 5, 6)]
IMAGES: Mapping[int, int] = {4: 2, 5: 2, 6: 3}


def step_with(**budget: float) -> Step:
    meter = Meter(Budget(**budget), {ASSET: Rate(captions=1)})  # type: ignore[arg-type]
    return Step("0", "print", asset=ASSET, meter=meter)


def test_without_a_budget_all_shards_are_given_at_once() -> None:
    assert _affordable(step_with(), WAITING, {}) == WAITING


def test_shards_are_given_as_far_as_they_fit() -> None:
    assert _affordable(step_with(captions=7), WAITING, IMAGES) == WAITING
    assert _affordable(step_with(captions=6), WAITING, IMAGES) == WAITING[:2]
    assert _affordable(step_with(captions=3), WAITING, IMAGES) == WAITING[:1]


def test_where_none_fits_one_is_given_with_what_is_left() -> None:
    step = step_with(captions=3)
    _count(step, {WAITING[0]: Answer(n_captions=2)}, IMAGES, 4.0)
    assert step.meter.spent.captions == 2
    (only,) = _affordable(step, WAITING[1:], IMAGES)
    assert (only.shard, only.budget) == (5, Budget(captions=1))
    assert only.rate == Rate(seconds=2.0, captions=1)


def test_what_reused_rows_leave_is_given_to_the_next() -> None:
    step = step_with(captions=3)
    _count(step, {WAITING[2]: Answer(n_captions=0)}, IMAGES, 1.0)
    assert step.meter.spent.captions == 0
    assert _affordable(step, WAITING[:2], IMAGES) == WAITING[:2]
