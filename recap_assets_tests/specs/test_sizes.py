"""An experiment of several sizes, and what a recipe may expect."""

from pathlib import Path

import pytest

from recap_assets.specs.loading import ExperimentError, load_experiment
from recap_assets_tests.specs.test_loading import MINIMAL, written

SIZES = """
sizes:
  smoke: {training.samples_seen: 64, "mixes.all_raw.0.weight": 2.0}
recipe:
  title: A system
  paper: arXiv 0000.00000
  found: One is better.
  shows: It is.
  expects:
    - {better: all_raw, than: all_raw}
"""


def test_another_size_lays_its_settings_over_the_file_and_has_a_name_of_its_own(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, MINIMAL + SIZES)
    full, smoke = load_experiment(path), load_experiment(path, ["size=smoke"])
    assert (full.name, smoke.name) == ("tiny", "tiny_smoke")
    assert (full.training.samples_seen, smoke.training.samples_seen) == (28_000, 64)
    assert [one.mixes["all_raw"].rules[0].weight for one in (full, smoke)] == [1.0, 2.0]


def test_settings_of_the_command_line_lie_over_those_of_the_size(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL + SIZES)
    chosen = load_experiment(path, ["training.samples_seen=32", "size=smoke", "name=mine"])
    assert (chosen.name, chosen.training.samples_seen) == ("mine", 32)


def test_what_was_read_at_a_size_is_read_again_as_it_is(tmp_path: Path) -> None:
    smoke = load_experiment(written(tmp_path, MINIMAL + SIZES), ["size=smoke"])
    assert type(smoke).model_validate(smoke.model_dump(mode="json")) == smoke


def test_a_size_may_leave_parts_out(tmp_path: Path) -> None:
    text = MINIMAL + "sizes: {small: {sources.coca: null, sources.none: null, a.b.c: null}}\n"
    path = written(tmp_path, text)
    assert list(load_experiment(path, ["size=small"]).sources) == []
    assert list(load_experiment(path).sources) == ["coca"]


@pytest.mark.parametrize("text", [MINIMAL, MINIMAL + SIZES])
def test_an_unknown_size_is_refused_with_those_that_there_are(tmp_path: Path, text: str) -> None:
    with pytest.raises(ExperimentError, match=r"no 'huge'; known are full") as caught:
        load_experiment(written(tmp_path, text), ["size=huge"])
    assert ("smoke" in str(caught.value)) == (text != MINIMAL)


def test_a_setting_of_a_size_that_fits_nowhere_is_named(tmp_path: Path) -> None:
    text = MINIMAL + "sizes: {smoke: {name.x: 3}}\n"
    with pytest.raises(ExperimentError, match=r"sizes\.smoke\.name\.x: what holds x"):
        load_experiment(written(tmp_path, text), ["size=smoke"])


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("{better: best, than: all_raw}", "recipe.expects.0.better: 'best' is none of the mixes"),
        (
            "{better: all_raw, than: all_raw, on: nothing}",
            "recipe.expects.0.on: 'nothing' is none of the t",
        ),
        ("{better: a, than: raw, on: captions.CIDEr}", "'a' is none of the sources"),
        ("{better: raw, than: raw, on: score.itm}", "'itm' is none of the scorers"),
    ],
)
def test_a_recipe_expects_of_what_there_is(tmp_path: Path, expected: str, said: str) -> None:
    text = (MINIMAL + SIZES).replace("{better: all_raw, than: all_raw}", expected)
    with pytest.raises(ExperimentError) as caught:
        load_experiment(written(tmp_path, text))
    assert said in str(caught.value)
