"""A sweep adds a part once for each value, and what uses it up to the mixes."""

from pathlib import Path

import pytest

from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import ExperimentError, load_experiment
from recap_assets.specs.mixes import sources_read
from recap_assets_tests.specs.test_loading import written

FILE = """
name: swept
pool: {kind: embedded, samples: 10}
corpora:
  pairs: {kind: embedded, style: scorer, samples: 20}
models:
  backbone: {kind: clip, corpus: pairs, samples_seen: 64}
  captioner: {kind: captioner, corpus: pairs, backbone: backbone, samples_seen: 64}
scorers:
  clip: {kind: embedded, model: backbone}
sources:
  a: {kind: embedded, model: captioner}
  best: {kind: reranked, source: a, scorer: clip}
  b: {kind: open_clip, model: coca_ViT-B-32}
sets:
  words: {kind: basic, source: a}
mixes:
  raw: [{use: raw, where: {top: 0.3}}]
  of_b: [{use: b}]
  of_best: [{use: best}]
  both: {rules: [{use: {best_of: [a, raw]}}, {use: {random_of: {a: 0.5, b: 0.5}}}]}
  told: [{use: raw, where: {all: [{in_set: words}, {at_least: {top: 0.3, of: a}}]}}]
evaluation:
  tasks: {fine: {kind: embedded, task: fine}}
sweep:
"""


def swept(tmp_path: Path, *lines: str, mixes: str = "") -> Experiment:
    """The experiment with these sweeps, and with these mixes beside its own."""
    file = FILE.replace("evaluation:", f"{mixes}\nevaluation:") if mixes else FILE
    text = file + "".join(f"  {line}\n" for line in lines)
    return load_experiment(written(tmp_path, text))


def test_a_mix_is_there_once_for_each_value_and_as_it_is_written(tmp_path: Path) -> None:
    found = swept(tmp_path, "mixes.raw.rules.0.where.top: [0.1, 0.25]").mixes
    names = ("raw", "raw_top_0_1", "raw_top_0_25")
    tops = [found[name].rules[0].where.top for name in names]  # type: ignore[union-attr]
    assert tops == [0.3, 0.1, 0.25]
    assert len(found) == 7


def test_a_list_of_rules_may_be_counted_as_it_is_written(tmp_path: Path) -> None:
    assert "raw_top_0_1" in swept(tmp_path, "mixes.raw.0.where.top: [0.1]").mixes


def test_a_source_takes_with_it_what_uses_it_and_nothing_else(tmp_path: Path) -> None:
    found = swept(tmp_path, "sources.a.decoding.temperature: [0.5, 1.5]")
    end = "_temperature_0_5"
    assert found.sources["a" + end].decoding.temperature == 0.5  # type: ignore[attr-defined]
    assert found.sources["best" + end].source == "a" + end  # type: ignore[attr-defined]
    assert found.sets["words" + end].source == "a" + end  # type: ignore[attr-defined]
    assert set(found.sources) == {"a", "best", "b"} | {
        f"{name}_temperature_{value}" for name in ("a", "best") for value in ("0_5", "1_5")
    }
    read = {name.removesuffix(end): sources_read(mix) for name, mix in found.mixes.items()
            if name.endswith(end)}  # fmt: skip
    assert read == {
        "of_best": ("best" + end,),
        "both": ("a" + end, "raw", "b"),
        "told": ("raw", "a" + end),
    }
    rule = found.mixes["told" + end].rules[0].where
    assert rule.all[0].in_set == "words" + end  # type: ignore[union-attr]


def test_a_model_takes_scorers_with_it_and_every_mix_says_its_own(tmp_path: Path) -> None:
    found = swept(tmp_path, "models.backbone.samples_seen: [128]")
    end = "_samples_seen_128"
    assert set(found.scorers) == {"clip", "clip" + end}
    assert {name: found.scorer_of(mix) for name, mix in found.mixes.items()} == {
        f"{name}{ending}": f"clip{ending}"
        for name in ("raw", "of_b", "of_best", "both", "told")
        for ending in ("", end)
    }
    assert found.models["captioner" + end].backbone == "backbone" + end  # type: ignore[attr-defined]


def test_settings_joined_by_commas_take_each_value_together(tmp_path: Path) -> None:
    line = "'mixes.both.rules.0.weight, rules.1.weight': [2.0]"
    made = swept(tmp_path, line).mixes["both_weight_2"]
    assert [rule.weight for rule in made.rules] == [2.0, 2.0]


def test_of_the_mixes_that_use_a_part_only_the_named_ones_may_be_varied(tmp_path: Path) -> None:
    line = "sources.a.decoding.temperature: {values: [0.5], only: [told]}"
    found = swept(tmp_path, line)
    end = "_temperature_0_5"
    assert [name for name in found.mixes if name.endswith(end)] == ["told" + end]
    assert "best" + end in found.sources
    assert Experiment.model_validate(found.model_dump(mode="json")) == found


def test_two_sweeps_are_varied_each_by_itself(tmp_path: Path) -> None:
    lines = ("mixes.raw.rules.0.where.top: [0.1]", "sources.b.decoding.seed: [3]")
    added = set(swept(tmp_path, *lines).mixes) - {"raw", "of_b", "of_best", "both", "told"}
    assert added == {"raw_top_0_1", "of_b_seed_3", "both_seed_3"}


def test_what_was_expanded_is_read_again_as_it_is(tmp_path: Path) -> None:
    found = swept(tmp_path, "mixes.raw.rules.0.where.top: [0.1]")
    assert Experiment.model_validate(found.model_dump(mode="json")) == found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("mixes.none.rules.0.where.top: [0.1]", "mixes has no 'none'; known are both"),
        ("training.samples_seen: [1]", "write SECTION.NAME.SETTING"),
        ("mixes.raw: [1]", "write SECTION.NAME.SETTING"),
        ("mixes.raw.rules.7.weight: [1]", "sweep.mixes.raw.rules.7.weight: '7' leads nowhere"),
        ("mixes.raw.rules.0.use.source.x: [1]", "leads nowhere in the part"),
        ("mixes.raw.rules.0.weight: {values: [1], of: [raw]}", "unknown key 'of'"),
        ("sources.a.candidates: {values: [2], only: [none]}", "only: mixes has no 'none'"),
        ("'mixes.raw.rules.0.weight,': [1]", "write SECTION.NAME.SETTING"),
        ("mixes.raw.rules.0.where.top: 0.1", "write a list of 1 to 100 values"),
        ("mixes.raw.rules.0.where.top: []", "write a list of 1 to 100 values"),
        ("mixes.raw.rules.0.where.top: [0.1, 0.1]", "a value is there twice"),
        ("mixes.raw.rules.0.where.top: [[0.1]]", "is no number and no word"),
        ("mixes.raw.rules.0.where.top: [3]", "mixes.raw_top_3.rules.0.where.top: Input should"),
        ("mixes.raw.rules.0.where.pot: [3]", "unknown key"),
        (f"mixes.raw.description: [{'x' * 80}]", "has more than 64 letters"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        swept(tmp_path, line)
    assert said in str(caught.value)


def test_a_variant_takes_no_name_that_is_there(tmp_path: Path) -> None:
    text = FILE.replace("  raw: [", "  raw_top_1: [{use: raw}]\n  raw: [")
    path = written(tmp_path, text + "  mixes.raw.rules.0.where.top: [1]\n")
    with pytest.raises(ExperimentError, match="mixes has a 'raw_top_1' already; rename it"):
        load_experiment(path)
