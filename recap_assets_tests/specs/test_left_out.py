"""A mix without one of its sources, and what `leave_one_source_out` adds to an experiment."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from recap_assets.specs.experiment import Experiment
from recap_assets.specs.left_out import captions_used, without_source
from recap_assets.specs.loading import ExperimentError, parse_experiment
from recap_assets.specs.mixes import Mix

TOP_OF_RAW = {"at_least": {"top": 0.3, "of": "raw"}}
TWO = [{"use": "raw", "where": {"top": 0.3}}, {"use": "a"}]
FLAGGED = {"rules": TWO, "leave_one_source_out": True}


def experiment(**mixes: Any) -> Experiment:
    content: dict[str, Any] = {
        "name": "tiny",
        "pool": {"kind": "embedded", "samples": 10},
        "scorers": {"clip": {"kind": "open_clip", "model": "ViT-B-32"}},
        "sources": {name: {"kind": "open_clip", "model": "coca_ViT-B-32"} for name in "abc"},
        "mixes": mixes,
        "evaluation": {"tasks": {"fine": {"kind": "embedded", "task": "fine"}}},
    }
    return parse_experiment(content)


def mix(*rules: Mapping[str, Any], **more: Any) -> Mix:
    return Mix.model_validate({"rules": rules, **more})


@pytest.mark.parametrize(
    ("rules", "source", "left"),
    [
        (TWO, "raw", [{"use": "a"}]),
        (TWO, "a", [{"use": "raw", "where": {"top": 0.3}}]),
        (
            [{"use": "raw"}, {"use": "a", "where": TOP_OF_RAW}],
            "raw",
            [{"use": "a", "where": TOP_OF_RAW}],
        ),
        (
            [{"use": {"best_of": ["b", "raw", "a"]}}],
            "raw",
            [{"use": {"best_of": ["b", "a"]}}],
        ),
        ([{"use": {"best_of": ["b", "a"]}}], "b", [{"use": "a"}]),
        (
            [{"use": {"random_of": {"raw": 1, "a": 2, "b": 3}, "seed": 7}}],
            "a",
            [{"use": {"random_of": {"raw": 1, "b": 3}, "seed": 7}}],
        ),
        ([{"use": {"random_of": {"raw": 1, "a": 2}}}], "a", [{"use": "raw"}]),
        (
            [{"use": {"join": ["raw", "a", "b"], "separator": ". "}}],
            "raw",
            [{"use": {"join": ["a", "b"], "separator": ". "}}],
        ),
        ([{"use": {"join": ["raw", "a"]}}], "raw", [{"use": "a"}]),
        (
            [{"use": {"each": {"raw": 1, "a": 2, "b": 3}}, "weight": 2}],
            "raw",
            [{"use": {"each": {"a": 2, "b": 3}}, "weight": 2}],
        ),
        # The pair keeps the weight that it had: the rule's times its own.
        (
            [{"use": {"each": {"raw": 1, "a": 3}}, "weight": 2}],
            "raw",
            [{"use": "a", "weight": 6}],
        ),
        # A rule without the source stays as it is, and so does a condition on the source.
        (
            [{"use": {"best_of": ["a", "b"]}, "where": TOP_OF_RAW}, {"use": "raw"}],
            "raw",
            [{"use": {"best_of": ["a", "b"]}, "where": TOP_OF_RAW}],
        ),
    ],
)
def test_a_source_is_taken_out_of_every_rule(
    rules: list[Mapping[str, Any]], source: str, left: list[Mapping[str, Any]]
) -> None:
    found = without_source("m", mix(*rules), source)
    assert found.rules == mix(*left).rules
    assert source not in captions_used(found)


def test_everything_else_about_the_mix_stays() -> None:
    whole = mix(
        *TWO, combine="all", within={"fraction": 0.5}, scorer="clip", description="Both.",
        leave_one_source_out=True,
    )  # fmt: skip
    found = without_source("m", whole, "a")
    assert (found.combine, found.within, found.scorer) == ("all", whole.within, "clip")
    assert found.description == "m without the captions of a"
    assert not found.leave_one_source_out


def test_the_experiment_has_the_mix_without_each_source_whose_captions_it_uses() -> None:
    rules = [{"use": "raw", "where": TOP_OF_RAW}, {"use": {"best_of": ["a", "b"]}}, {"use": "raw"}]
    found = experiment(big={"rules": rules, "leave_one_source_out": True}, other=TWO)
    added = ["big_without_raw", "big_without_a", "big_without_b"]
    assert list(found.mixes) == ["big", "other", *added]
    assert found.left_out == {"big": dict(zip(("raw", "a", "b"), added, strict=True))}
    assert found.added_mixes == set(added)


def test_without_the_word_nothing_is_added() -> None:
    found = experiment(big=TWO)
    assert list(found.mixes) == ["big"]
    assert found.left_out == {}


def test_an_experiment_read_back_from_its_canonical_form_is_the_same() -> None:
    once = experiment(big=FLAGGED)
    again = parse_experiment(json.loads(once.canonical()))
    assert again == once
    assert again.canonical() == once.canonical()


def test_a_mix_that_is_there_already_under_the_name_keeps_its_description() -> None:
    own = {"rules": [{"use": "a"}], "description": "Captions of a alone."}
    found = experiment(big_without_raw=own, big=FLAGGED)
    assert found.mixes["big_without_raw"].description == "Captions of a alone."
    assert list(found.mixes) == ["big_without_raw", "big", "big_without_a"]


@pytest.mark.parametrize(
    ("mixes", "told"),
    [
        (
            {"big": {"rules": [{"use": "raw"}], "leave_one_source_out": True}},
            "big.leave_one_source_out: nothing is left of it without raw",
        ),
        (
            {"big": FLAGGED, "big_without_a": [{"use": "b"}]},
            "there is another mix big_without_a; rename one",
        ),
        ({"b" * 60: FLAGGED}, "it has 72 characters, at most 64 are allowed"),
        (
            {"big": {"rules": [{"use": "raww"}, {"use": "a"}], "leave_one_source_out": True}},
            "mixes.big.rules.0.use: there is no 'raww'; known are a, b, c, raw",
        ),
    ],
)
def test_what_cannot_be_left_out_is_refused_in_words(mixes: dict[str, Any], told: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        experiment(**mixes)
    assert told in str(caught.value)
    assert str(caught.value).count("\n") == 0
    assert "_without_raww" not in str(caught.value)
