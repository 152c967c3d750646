import polars as pl
import pytest

from recap_assets.artefacts.evaluation import EVALUATION_RESULTS
from recap_assets.evaluation.averages import AVERAGE
from recap_assets.evaluation.pairing import Runs
from recap_assets.report.pairing import left_out

FAMILY = {"m": {"raw": "m_without_raw", "a": "m_without_a"}}


def results(*rows: tuple[str, int, str, float]) -> pl.DataFrame:
    full = [(*row[:3], "acc1", row[3], True, 10) for row in rows]
    return pl.DataFrame(full, schema=EVALUATION_RESULTS.required, orient="row")


# The seed shifts all alike; without raw, seed 0 loses 0.2 and seed 1 loses 0.1 on `fine`.
MEASURED = results(
    ("m", 0, "fine", 0.5), ("m", 1, "fine", 0.7), ("m", 0, "tail", 0.1), ("m", 1, "tail", 0.3),
    ("m_without_raw", 0, "fine", 0.3), ("m_without_raw", 1, "fine", 0.6),
    ("m_without_raw", 0, "tail", 0.1), ("m_without_raw", 1, "tail", 0.3),
    ("m_without_a", 0, "fine", 0.4), ("other", 0, "fine", 0.9),
)  # fmt: skip


def test_the_change_is_taken_seed_by_seed() -> None:
    found = {(one.source, one.task): one for one in left_out(MEASURED, (), FAMILY)}
    fine = found["raw", "fine"]
    assert (fine.mix, fine.whole, fine.without) == ("m", pytest.approx(0.6), pytest.approx(0.45))
    assert fine.change.mean == pytest.approx(-0.15)
    assert fine.change.deviation == pytest.approx(0.0707, abs=1e-4)
    assert fine.change.n_seeds == 2
    assert found["raw", "tail"].change.mean == pytest.approx(0.0)
    assert found["raw", AVERAGE].change.mean == pytest.approx(-0.075)


def test_the_average_comes_first_and_is_over_the_tasks_asked_for() -> None:
    found = [one for one in left_out(MEASURED, ["fine"], FAMILY) if one.source == "raw"]
    assert [one.task for one in found] == [AVERAGE, "fine", "tail"]
    assert found[0].change.mean == pytest.approx(-0.15)


def test_one_common_seed_has_no_deviation_and_what_was_not_measured_is_not_there() -> None:
    found = [one for one in left_out(MEASURED, (), FAMILY) if one.source == "a"]
    assert [one.task for one in found] == ["fine"]
    assert found[0].change.mean == pytest.approx(-0.1)
    assert (found[0].change.deviation, found[0].change.n_seeds) == (None, 1)


def test_without_results_there_is_nothing() -> None:
    assert left_out(EVALUATION_RESULTS.empty(), (), FAMILY) == []


def test_values_beyond_one_are_no_per_cent() -> None:
    variances = results(("a", 0, "many", 30.0), ("b", 0, "many", 0.5), ("b", 1, "many", 0.5))
    runs = Runs.of_task(variances, "many")
    assert (runs.percent("a"), runs.percent("b")) == ("30.0", "0.5")
    assert runs.compare("a", "b").text == "+29.5, one seed"
    fractions = Runs.of_task(results(("a", 0, "fine", 0.5), ("b", 0, "fine", 0.25)), "fine")
    assert fractions.percent("a") == "50.0 %"
    assert fractions.compare("a", "b").text == "+25.0, one seed"
