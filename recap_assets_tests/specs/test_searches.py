"""A search names settings of one mix, and its rounds follow from its numbers."""

from typing import Any

import pytest

from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import ExperimentError, with_settings
from recap_assets.specs.searches import Search
from recap_assets_tests.tiny import EXPERIMENT, tiny_experiment

TOP = {"mixes.mixed.0.where.top": {"low": 0.1, "high": 0.8}}


def search(**fields: Any) -> Search:
    return Search.model_validate({"over": TOP, "samples_seen": 16, **fields})


def searching(**fields: Any) -> Experiment:
    return tiny_experiment(searches={"best": {"over": TOP, "samples_seen": 16, **fields}})


@pytest.mark.parametrize(
    ("trials", "first", "reduction", "full", "expected"),
    [
        # A third continues, rounded up, with three times the samples; the last has them all.
        (16, 2_000, 3, 28_000, [(2_000, 16), (6_000, 6), (18_000, 2), (28_000, 1)]),
        # With one left there is nothing to choose: the last round follows at once.
        (4, 100, 4, 28_000, [(100, 4), (28_000, 1)]),
        (1, 100, 2, 28_000, [(100, 1), (28_000, 1)]),
        (9, 100, 3, 300, [(100, 9), (300, 3)]),
        (9, 300, 3, 300, [(300, 9)]),
    ],
)
def test_the_rounds(
    trials: int, first: int, reduction: int, full: int, expected: list[tuple[int, int]]
) -> None:
    one = search(trials=trials, samples_seen=first, reduction=reduction)
    rounds = one.rounds(full, (5, 6))
    assert [(each.samples_seen, each.n_found) for each in rounds] == expected
    assert [each.seeds for each in rounds] == [(5,)] * (len(rounds) - 1) + [(5, 6)]
    assert [each.number for each in rounds] == list(range(len(rounds)))


def test_the_mix_as_it_is_written_is_the_one_made_by_hand_unless_others_are_named() -> None:
    assert search().with_defaults((3, 3, 4)).among == ("mixed",)
    assert search().with_defaults((3, 3, 4)).seeds == (3, 4)
    named = search(among=["raw", "raw"], seeds=[7]).with_defaults((3,))
    assert (named.among, named.seeds) == (("raw",), (7,))


def test_settings_are_laid_over_the_mix_and_nothing_else() -> None:
    over = {**TOP, "mixes.mixed.rules.1.use": {"choices": ["raw", "a"]}}
    experiment = searching(over=over)
    one = experiment.searches["best"]
    assert [list(settings.values()) for settings in one.wordings] == [[0.1, "raw"], [0.1, "a"]]
    trial = with_settings(experiment, one, dict(zip(over, (0.5, "raw"), strict=True)))
    first, second = trial.mixes["mixed"].rules
    assert first.where.top == 0.5  # type: ignore[union-attr]
    assert second.use.sources == ("raw",)
    others = ("raw", "raw_top30")
    assert [trial.mixes[name] for name in others] == [experiment.mixes[name] for name in others]
    assert not trial.searches


def test_what_was_read_is_read_again_as_it_is() -> None:
    found = searching(among=["raw"])
    assert Experiment.model_validate(found.model_dump(mode="json")) == found


LEADS_NOWHERE = "with its first values: mixes.mixed.rules.7.weight: '7' leads nowhere"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"over": {"sources.a.x": {"choices": [1]}}}, "write SECTION.NAME.SETTING"),
        ({"over": {"mixes.gone.0.where.top": {"choices": [0.1]}}}, "over: there is no mix 'gone'"),
        ({"over": {"mixes.mixed.7.weight": {"choices": [1]}}}, LEADS_NOWHERE),
        ({"over": {"mixes.mixed.0.wher.top": {"choices": [0.1]}}}, "rules.0.wher: unknown key"),
        ({"over": {"mixes.mixed.0.use": {"choices": ["b"]}}}, "there is no 'b'"),
        (
            {"over": {**TOP, "mixes.raw.0.weight": {"choices": [1]}}},
            "the settings are of several mixes: mixed, raw",
        ),
        ({"over": {**TOP, "mixes.mixed.rules.0.where.top": {"choices": [1]}}}, "there twice"),
        ({"over": {"mixes.mixed.0.weight": {"low": 2, "high": 1}}}, "a greater `high`"),
        ({"over": {"mixes.mixed.0.weight": {"low": 2}}}, "a greater `high`"),
        ({"over": {"mixes.mixed.0.weight": {"choices": [1], "low": 2}}}, "and not both"),
        ({"over": {"mixes.mixed.0.weight": {"choices": [1, 1]}}}, "a value is there twice"),
        ({"over": {"mixes.mixed.0.weight": {"low": 0, "high": 1, "log": True}}}, "logarithm"),
        ({"over": {"mixes.mixed.0.weight": {"low": 0.5, "high": 2, "whole": True}}}, "whole num"),
        (
            {
                "over": {
                    f"mixes.mixed.rules.{place}.{key}": {"choices": list("abcdefgh")}
                    for place, key in ((0, "use"), (1, "use"), (0, "x"))
                }
            },
            "the words combine in 512 ways, at most 64 are allowed",
        ),
        ({"among": ["gone"]}, "among: there is no mix 'gone'; known are mixed, raw, raw_top30"),
        ({"on": "gone"}, "on: there is no task 'gone'; known are average, coarse, retrieval"),
        ({"samples_seen": 65}, "65 are more than those of a whole training, 64"),
    ],
)
def test_what_does_not_fit_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        searching(**fields)
    assert said in str(caught.value)
    assert "searches.best" in str(caught.value)


def test_a_search_is_refused_where_training_runs_elsewhere() -> None:
    changes = {
        "searches": {"best": {"over": TOP, "samples_seen": 16}},
        "training": {"launcher": "torchrun", "scale": "debug"},
    }
    with pytest.raises(ExperimentError, match="the launcher torchrun does not; write"):
        tiny_experiment(**changes)
    assert EXPERIMENT["training"].get("launcher") is None
