"""Decoding refuses what makes no sense, and new options change no version while they are off."""

import pytest
from pydantic import ValidationError

from recap_assets.captions.kinds.open_clip import OpenClipSource
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.experiment import Experiment
from recap_assets.training.models.kinds.captioner import TrainedCaptioner

BEAMS = {"strategy": "beams", "beams": 4}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"beams": 4}, "beams 4 is for strategy beams, and strategy is sample"),
        ({"strategy": "greedy", "length_penalty": 2}, "length_penalty 2.0 is for strategy beams"),
        ({"diversity_penalty": 1}, "diversity_penalty 1.0 is for strategy beams"),
        ({"strategy": "beams"}, "strategy beams needs beams of 2 or more"),
        ({**BEAMS, "beam_groups": 3, "diversity_penalty": 1}, "cannot be divided among beam_gr"),
        ({**BEAMS, "beam_groups": 2}, "beam_groups 2 needs a diversity_penalty above 0"),
        ({**BEAMS, "diversity_penalty": 1}, "diversity_penalty 1.0 needs beam_groups of 2 or more"),
        ({**BEAMS, "top_p": 0.9}, "top_p 0.9 is for strategy sample, and strategy is beams"),
        ({"strategy": "greedy", "top_p": 0.9}, "top_p 0.9 is for strategy sample"),
        ({"top_p": 0}, "greater than 0"),
        ({"top_k": 0}, "greater than 0"),
        ({"guidance_scale": -1}, "greater than or equal to 0"),
        ({"repetition_penalty": 0.5}, "greater than or equal to 1"),
        ({"min_tokens": 9, "max_tokens": 3}, "min_tokens 9 exceeds max_tokens 3"),
    ],
)
def test_nonsense_is_refused(options, told):
    with pytest.raises(ValidationError) as caught:
        Decoding(**options)
    assert told in str(caught.value)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ValidationError) as caught:
        Decoding(beams=4, length_penalty=0)
    assert "beams 4 is" in str(caught.value)
    assert "length_penalty 0.0 is" in str(caught.value)


def test_more_candidates_than_beams_are_refused():
    source = {"kind": "open_clip", "model": "coca_ViT-B-32", "decoding": BEAMS}
    assert OpenClipSource.model_validate({**source, "candidates": 4}).candidates == 4
    with pytest.raises(ValidationError, match=r"candidates 5 exceeds decoding\.beams 4"):
        OpenClipSource.model_validate({**source, "candidates": 5})


def test_options_that_are_off_are_not_said():
    """Captions that were written before an option existed must stay valid."""
    assert Decoding().canonical() == (
        '{"max_tokens":40,"min_tokens":5,"seed":0,"strategy":"sample","temperature":0.75,'
        '"top_k":50}'
    )
    captioner = TrainedCaptioner(kind="captioner", corpus="c", backbone="b", samples_seen=1)
    assert "condition_dropout" not in captioner.canonical()


@pytest.mark.parametrize(
    "options",
    [
        {"top_p": 0.9},
        {"top_k": None},
        BEAMS,
        {**BEAMS, "beam_groups": 2, "diversity_penalty": 0.5},
        {**BEAMS, "length_penalty": 0.0},
        {"guidance_scale": 2.0},
        {"repetition_penalty": 1.1},
        {"no_repeat_ngram": 3},
    ],
)
def test_options_that_are_on_are_said_and_read_back(options):
    decoding = Decoding(**options)
    assert decoding.canonical() != Decoding().canonical()
    assert Decoding.model_validate_json(decoding.canonical()) == decoding


def test_guidance_of_a_captioner_trained_here_needs_condition_dropout():
    def experiment(dropout: float, scale: float) -> Experiment:
        captioner = {
            "kind": "captioner",
            "corpus": "broad",
            "backbone": "b",
            "samples_seen": 1,
            "condition_dropout": dropout,
        }
        return Experiment.model_validate(
            {
                "name": "tiny",
                "pool": {"kind": "embedded", "samples": 10},
                "corpora": {"broad": {"kind": "embedded", "style": "broad", "samples": 9}},
                "models": {
                    "b": {"kind": "clip", "corpus": "broad", "samples_seen": 1},
                    "writer": captioner,
                },
                "sources": {
                    "a": {
                        "kind": "embedded",
                        "model": "writer",
                        "decoding": {"guidance_scale": scale},
                    }
                },
                "scorers": {"clip": {"kind": "open_clip", "model": "ViT-B-32"}},
                "mixes": {"all": [{"use": "raw"}]},
                "evaluation": {"tasks": {"fine": {"kind": "embedded", "task": "fine"}}},
            }
        )

    assert experiment(0.2, 2.0).sources
    assert experiment(0.0, 1.0).sources
    with pytest.raises(ValidationError, match=r"sources\.a\.decoding\.guidance_scale: 2\.0 needs"):
        experiment(0.0, 2.0)
