"""What a recipe expects is evaluated by the same bar as the claims of the study."""

import polars as pl
import pytest

from recap_assets.artefacts import CAPTION_METRICS, DIVERSITY_SUMMARY, EVALUATION_RESULTS
from recap_assets.report.expectations import Measured, expected
from recap_assets.report.findings import SCORE_MEANS
from recap_assets.specs.recipe import Expectation


def results(values: dict[str, list[float]], metric: str = "acc1", *, main: bool = True) -> object:
    return [
        {"mix": mix, "seed": seed, "task": "fine", "metric": metric, "value": value}
        | {"is_main": main, "n_samples": 10}
        for mix, of_mix in values.items()
        for seed, value in enumerate(of_mix)
    ]


@pytest.fixture
def measured() -> Measured:
    rows = results({"raw": [0.2, 0.3, 0.4], "mixed": [0.31, 0.4, 0.52], "once": [0.9]})
    other = results({"raw": [0.5, 0.5, 0.5], "mixed": [0.4, 0.5, 0.6]}, "acc5", main=False)
    captions = pl.DataFrame(
        [("a", "one", "CIDEr", 0.5), ("a", "two", "CIDEr", 0.7), ("b", "one", "CIDEr", 0.59)],
        schema=["source", "task", "metric", "value"],
        orient="row",
    )
    diversity = pl.DataFrame({"source": ["a", "b"], "unique_trigrams": [90, 100]})
    scores = pl.DataFrame({"source": ["a", "b"], "mean": [0.31, 0.3], "n": [5, 5]}, SCORE_MEANS)
    return Measured(
        pl.DataFrame([*rows, *other], EVALUATION_RESULTS.required),  # type: ignore[misc]
        (),
        captions.select(captions.columns),
        diversity,
        {"clip": scores},
    )


def of(measured: Measured, better: str, than: str, on: str, by: float = 0.0) -> tuple[str, str]:
    claim = expected(Expectation(better=better, than=than, on=on, by=by), measured)
    return claim.verdict, claim.figure or claim.note


@pytest.mark.parametrize(
    ("better", "than", "on", "by", "verdict", "figure"),
    [
        ("mixed", "raw", "fine", 0.0, "reproduced", "(+11.0 ± 1.0, 3 seeds)"),
        ("mixed", "raw", "average", 0.0, "reproduced", "(+11.0 ± 1.0, 3 seeds)"),
        ("mixed", "raw", "fine", 0.12, "not reproduced", "(+11.0 ± 1.0, 3 seeds)"),
        ("raw", "mixed", "fine", 0.0, "not reproduced", "(-11.0 ± 1.0, 3 seeds)"),
        ("mixed", "raw", "fine.acc5", 0.0, "not reproduced", "(+0.0 ± 10.0, 3 seeds)"),
        ("once", "raw", "fine", 0.0, "not measured", "(+70.0, one seed)"),
        ("mixed", "none", "fine", 0.0, "not measured", "no results of none on fine"),
        ("a", "b", "captions.CIDEr", 0.0, "reproduced", "a 0.6, b 0.59 (+0.01)"),
        ("a", "b", "diversity.unique_trigrams", 0.0, "not reproduced", "a 90, b 100 (-10)"),
        ("a", "b", "score.clip", 0.0, "reproduced", "a 0.31, b 0.3 (+0.01)"),
        ("a", "b", "score.clip", 0.02, "not reproduced", "a 0.31, b 0.3 (+0.01)"),
        ("a", "c", "score.clip", 0.0, "not measured", "score.clip of c is not there"),
        ("a", "b", "diversity.beauty", 0.0, "not measured", "diversity.beauty of a, b is not"),
    ],
)
def test_a_verdict_rests_on_the_numbers(
    measured: Measured, better: str, than: str, on: str, by: float, verdict: str, figure: str
) -> None:
    said, shown = of(measured, better, than, on, by)
    assert said == verdict
    assert figure in shown


def test_the_tables_are_those_of_a_run() -> None:
    assert {"source", "metric", "value"} <= set(CAPTION_METRICS.schema)
    assert {"source", "unique_trigrams"} <= set(DIVERSITY_SUMMARY.schema)
