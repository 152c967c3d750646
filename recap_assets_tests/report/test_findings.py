from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.diversity import DIVERSITY_SUMMARY
from recap_assets.artefacts.evaluation import EVALUATION_RESULTS
from recap_assets.report.findings import (
    REFERENCE_METRICS,
    SCORE_MEANS,
    Claim,
    Evidence,
    evaluate,
)
from recap_assets.specs.report import Report

REPORT = Report(
    raw="raw",
    raw_filtered="raw_top30",
    synthetic=("a", "b"),
    mixed=("raw_top30_a", "best_of_two"),
    fine_task="fine",
    retrieval_task="retrieval",
)
FINE = {"raw": 0.12, "raw_top30": 0.40, "a": 0.49, "b": 0.22, "raw_top30_a": 0.55}
FINE |= {"best_of_two": 0.50}
RETRIEVAL = {"raw": 0.01, "raw_top30": 0.09, "a": 0.55, "b": 0.52, "raw_top30_a": 0.54}
RETRIEVAL |= {"best_of_two": 0.53}
SEEDS = (0, 1, 2)


def results(
    fine: dict[str, float] = FINE,
    retrieval: dict[str, float] = RETRIEVAL,
    seeds: tuple[int, ...] = SEEDS,
    wobble: dict[str, float] | None = None,
) -> pl.DataFrame:
    """Each seed shifts all mixes alike; `wobble` shifts one mix against the others."""
    rows = []
    for task, values in (("fine", fine), ("retrieval", retrieval)):
        for mix, value in values.items():
            for seed in seeds:
                shift = 0.05 * seed * (value > 0) + (wobble or {}).get(mix, 0) * (seed - 1)
                rows.append((mix, seed, task, "acc1", value + shift, True, 100))
                rows.append((mix, seed, task, "acc5", 1 - value, False, 100))
    return pl.DataFrame(rows, schema=EVALUATION_RESULTS.required, orient="row")


def diversity(**counts: tuple[int, int]) -> pl.DataFrame:
    rows = [
        {
            "source": source, "n_captions": 6000, "sample_size": 1000, "tokeniser": "words-1",
            "lexicon": "embedded-1", "unique_trigrams": trigrams, "unique_nouns": nouns,
        }
        for source, (trigrams, nouns) in counts.items()
    ]  # fmt: skip
    schema = {name: DIVERSITY_SUMMARY.schema[name] for name in rows[0]}
    return pl.DataFrame(rows, schema=schema)


def scores(**means: float | None) -> pl.DataFrame:
    rows = [(source, mean, 6000) for source, mean in means.items()]
    return pl.DataFrame(rows, schema=SCORE_MEANS, orient="row")


def evidence(**changes: Any) -> Evidence:
    usual = {
        "results": results(),
        "average": (),
        "diversity": diversity(raw=(11236, 900), a=(4589, 60), b=(2000, 50)),
        "scores": scores(raw=0.21, a=0.41, b=0.35),
    }
    return Evidence(**(usual | changes))


def claim(name: str, report: Report = REPORT, **changes: Any) -> Claim:
    [found] = [c for c in evaluate(report, evidence(**changes)) if c.name == name]
    return found


def test_every_claim_is_evaluated_and_the_paper_reproduces_on_its_own_numbers():
    verdicts = {c.name: c.verdict for c in evaluate(REPORT, evidence())}

    assert verdicts == {
        "average": "reproduced",
        "retrieval": "reproduced",
        "scores": "reproduced",
        "diversity": "reproduced",
        "fine classification": "reproduced",
        "reference metric": "not measured",
    }


def test_a_shift_that_all_mixes_share_is_no_deviation():
    found = claim("average")

    assert "raw 11.5 %, raw_top30 29.5 % (+18.0 ± 0.0, 3 seeds)" in found.figure
    assert "raw_top30_a 59.5 % (+30.0 ± 0.0, 3 seeds)" in found.figure
    assert "best of 2 mixes" in found.note


def test_a_difference_within_its_deviation_is_not_reproduced():
    closer = FINE | {"raw_top30": 0.54}, RETRIEVAL | {"raw_top30": 0.53}

    sure = claim("average", results=results(*closer))
    unsure = claim("average", results=results(*closer, wobble={"raw_top30_a": 0.03}))

    assert sure.verdict == "reproduced"
    assert unsure.verdict == "not reproduced"
    assert "(+1.0 ± 3.0, 3 seeds)" in unsure.figure


def test_filtering_that_does_not_help_is_not_reproduced():
    assert claim("average", results=results(FINE | {"raw": 0.6})).verdict == "not reproduced"


def test_one_seed_decides_nothing_but_shows_its_figure():
    for name in ("average", "retrieval", "fine classification"):
        found = claim(name, results=results(seeds=(0,)))
        assert found.verdict == "not measured"
        assert "one seed" in found.figure or name == "retrieval"
        assert "Two seeds at least" in found.note


def test_one_seed_says_neither_yes_nor_no():
    # A negative margin on the only seed stays undecided too: the bar is the same both ways.
    found = claim("average", results=results(FINE | {"raw_top30": 0.0}, seeds=(0,)))

    assert found.verdict == "not measured"


def test_seeds_that_only_one_side_has_are_left_out_of_the_difference():
    found = results().filter(~(pl.col("mix").eq("raw") & pl.col("seed").eq(2)))

    assert "(+18.0 ± 0.0, 2 seeds)" in claim("average", results=found).figure


@pytest.mark.parametrize("name", ["raw", "raw_top30"])
def test_a_mix_without_results_is_named(name: str):
    found = claim("average", results=results().filter(pl.col("mix") != name))

    assert (found.verdict, found.figure) == ("not measured", "")
    assert found.note == f"Not measured: no results of {name}."


def test_a_report_that_names_nothing_measures_nothing():
    found = {c.name: c for c in evaluate(Report(), evidence())}

    assert {found[n].verdict for n in ("average", "retrieval", "fine classification")} == {
        "not measured"
    }
    assert "names no measured raw, raw_filtered, mixed" in found["average"].note
    assert "retrieval_task" in found["retrieval"].note


def test_every_synthetic_mix_must_reach_the_factor_on_retrieval():
    weak = claim("retrieval", results=results(retrieval=RETRIEVAL | {"b": 0.13}))

    assert claim("retrieval").verdict == "reproduced"
    assert weak.verdict == "not reproduced"
    assert "b 18.0 % (1.3 times)" in weak.figure


def test_the_retrieval_factor_of_the_embedded_world_is_said_to_be_inflated():
    assert "inflated" in claim("retrieval", embedded_world=True).note
    assert "inflated" not in claim("retrieval").note


def test_retrieval_from_nothing_has_no_factor():
    found = claim("retrieval", results=results(retrieval=RETRIEVAL | {"raw_top30": 0.0}))

    assert "from nothing" in found.figure
    assert found.verdict == "reproduced"


@pytest.mark.parametrize("b", [0.21, 0.2])
def test_scores_must_be_higher_for_every_source(b: float):
    assert claim("scores", scores=scores(raw=0.21, a=0.4, b=b)).verdict == "not reproduced"


def test_scores_without_raw_are_not_measured():
    assert claim("scores", scores=scores(a=0.4)).verdict == "not measured"
    assert claim("scores", scores=scores(raw=None, a=0.4)).verdict == "not measured"


@pytest.mark.parametrize("b", [(2000, 900), (11236, 50)])
def test_both_trigrams_and_nouns_must_be_fewer(b: tuple[int, int]):
    found = claim("diversity", diversity=diversity(raw=(11236, 900), a=(4589, 60), b=b))

    assert found.verdict == "not reproduced"


def test_diversity_of_unequal_samples_is_not_compared():
    unequal = diversity(raw=(11236, 900), a=(4589, 60)).with_columns(
        sample_size=pl.Series([1000, 500])
    )

    found = claim("diversity", diversity=unequal)

    assert found.verdict == "not measured"
    assert "not comparable" in found.note


def test_the_fine_claim_needs_the_mix_above_both():
    above_raw_only = claim("fine classification", results=results(FINE | {"a": 0.56}))

    assert above_raw_only.verdict == "not reproduced"
    assert "a 61.0 % (-1.0 ± 0.0, 3 seeds)" in above_raw_only.figure


def references(**values: float) -> pl.DataFrame:
    rows = [(source, source, value) for source, value in values.items()]
    return pl.DataFrame(rows, schema=REFERENCE_METRICS, orient="row")


def test_the_reference_metric_holds_by_design_in_the_embedded_world_only():
    narrow = references(a=1.5, b=2.8)

    assert claim("reference metric", references=narrow).verdict == "reproduced"
    designed = claim("reference metric", references=narrow, embedded_world=True)
    assert designed.verdict == "holds by design"
    assert designed.figure.startswith("b 2.80, average 42.0 %, a 1.50, average 57.0 %")


def test_a_reference_metric_that_agrees_with_usefulness_is_not_reproduced():
    found = claim("reference metric", references=references(a=2.8, b=1.5), embedded_world=True)

    assert found.verdict == "not reproduced"


def test_one_captioner_cannot_be_ranked():
    found = claim("reference metric", references=references(a=2.8))

    assert found.verdict == "not measured"
