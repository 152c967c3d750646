"""What a budget is, and how the meter of a run stops a partition before it is exceeded."""

import pytest

from recap_assets.graph.budget import (
    Budget,
    BudgetError,
    Meter,
    OutOfBudgetError,
    Rate,
    Spent,
    read_budget,
)

HOUR = 3_600.0
A = "synthetic_captions/a"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["20h"], Budget(until=100 + 20 * HOUR)),
        (["30min"], Budget(until=100 + 1_800.0)),
        (["5gpu-h"], Budget(gpu_seconds=5 * HOUR)),
        (["0.5 GPU-h".replace(" ", "")], Budget(gpu_seconds=HOUR / 2)),
        (["50usd"], Budget(money=50, currency="usd")),
        (["12.5eur", "1000000captions"], Budget(money=12.5, captions=1e6, currency="eur")),
    ],
)
def test_a_budget_is_read(written: list[str], expected: Budget) -> None:
    assert read_budget(written, now=100) == expected


@pytest.mark.parametrize(
    "written", [["20"], ["h"], ["-1h"], ["0captions"], ["5 hours"], ["1h", "2h"], ["1h", "30min"],
                ["5usd", "5eur"], ["1e3captions"], [""], ["9" * 400 + "h"]],
)  # fmt: skip
def test_what_is_no_budget_is_refused(written: list[str]) -> None:
    with pytest.raises(BudgetError, match="--budget"):
        read_budget(written, now=0)


def shard(meter: Meter, n: int, seconds: float, captions: int = 0, **tokens: float) -> None:
    meter.before(A, n)
    meter.after(A, n, seconds, tokens, captions)


def test_captions_stop_before_the_shard_that_would_be_too_many() -> None:
    meter = Meter(Budget(captions=100), rates={A: Rate(captions=2)})
    shard(meter, 20, 1.0, captions=38)
    shard(meter, 20, 1.0, captions=40)
    with pytest.raises(OutOfBudgetError, match=r"^the budget is spent: 20 more images of synth"):
        meter.before(A, 20)
    meter.before(A, 11)
    assert meter.spent.captions == 78


def test_a_gpu_is_counted_by_what_images_took_until_now() -> None:
    meter = Meter(Budget(gpu_seconds=100), rates={A: Rate(seconds=1)}, on_gpu=True)
    with pytest.raises(OutOfBudgetError):
        meter.before(A, 101)
    shard(meter, 50, 75.0)
    # Slower than expected: the next fifty would take 75 seconds more.
    with pytest.raises(OutOfBudgetError):
        meter.before(A, 50)
    meter.before(A, 16)
    of_cpu = Meter(Budget(gpu_seconds=1), rates={A: Rate(seconds=1)})
    shard(of_cpu, 500, 500.0)
    assert of_cpu.spent == Spent()


def test_time_is_up_before_what_would_end_too_late() -> None:
    now = 1_000.0
    meter = Meter(Budget(until=1_010), rates={A: Rate(seconds=1)}, clock=lambda: now)
    meter.before(A, 10)
    with pytest.raises(OutOfBudgetError):
        meter.before(A, 11)


def test_money_is_hours_and_tokens() -> None:
    meter = Meter(Budget(money=10), per_hour=3.6, tokens=lambda prompt, completion: (
        prompt + 2 * completion) / 1_000)  # fmt: skip
    shard(meter, 10, 1_000.0, prompt_tokens=1_000, completion_tokens=500)
    assert meter.spent.money == pytest.approx(1 + 2)
    meter.before(A, 20)
    with pytest.raises(OutOfBudgetError):
        meter.before(A, 24)


def test_a_partition_that_is_through_counts_with_all_it_took() -> None:
    meter = Meter(Budget(gpu_seconds=100), on_gpu=True)
    shard(meter, 10, 40.0, captions=10)
    meter.settle(gpu_seconds=60.0, money=0.5, captions=10)
    shard(meter, 5, 20.0, captions=5)
    assert meter.spent == Spent(80.0, 0.5, 15)
    assert Budget(gpu_seconds=100, captions=20).without(meter.spent) == Budget(
        gpu_seconds=20.0, captions=5
    )
