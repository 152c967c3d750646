"""A wrong experiment file is refused with the file, the key, the value and what is allowed."""

from pathlib import Path

import pytest
import yaml

from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import SHIPPED, ExperimentError, load_experiment, parse_experiment

MINIMAL = """
name: tiny
pool: {kind: embedded, samples: 10}
scorers:
  clip: {kind: open_clip, model: ViT-B-32}
sources:
  coca: {kind: open_clip, model: coca_ViT-B-32}
mixes:
  all_raw:
    - {use: raw}
evaluation:
  tasks:
    fine: {kind: embedded, task: fine}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    return path


def error_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(ExperimentError) as caught:
        load_experiment(written(tmp_path, text))
    return str(caught.value)


@pytest.mark.parametrize("name", [path.name for path in SHIPPED.glob("*.yaml")])
def test_every_shipped_experiment_loads(name: str) -> None:
    assert load_experiment(SHIPPED / name).mixes


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: tiny", "name: tiny\npol: 3", "unknown key; did you mean 'pool'?"),
        ("use: raw", "use: raww", "mixes.all_raw.rules.0.use: there is no 'raww'; known are"),
        ("{use: raw}", "{use: raw, where: {top: 1.5}}", "less than or equal to 1 (it is 1.5)"),
        ("{use: raw}", "{use: raw, where: {top: 0}}", "greater than 0 (it is 0)"),
        (
            "{use: raw}",
            "{use: raw, where: {at_least: 1.4}}",
            "1.4 is no score of clip, whose scores are in [-1, 1]",
        ),
        ("{use: raw}", "{use: raw, where: {topp: 0.3}}", "a condition is one of top, best"),
        ("{use: raw}", "{use: raw, where: {in_set: x}}", "there is no 'x'; known are none"),
        (
            "{use: raw}",
            "{use: raw, where: {top: 0.3, of: b}}",
            "there is no 'b'; known are coca, raw",
        ),
        (
            "kind: embedded, samples",
            "kind: embeded, samples",
            "'embeded'; there are embedded, webdataset, folder",
        ),
        ("model: ViT-B-32}", "model: ViT-B-32, presision: x}", "did you mean 'precision'?"),
        (
            "name: tiny",
            "name: tiny\nprecision: x",
            "precision: unknown key here; other parts have it",
        ),
        ("sources:", "sources:\n  raw: {kind: open_clip, model: x}", "cannot be declared"),
        ("name: tiny", "name: tiny\nname: other", "the key 'name' is there twice"),
        ("name: tiny", "name: Bad-Name", "name:"),
        ("name: tiny", "name: tiny\nreport: {raw: x}", "report.raw: there is no 'x'"),
        (
            "name: tiny",
            "name: tiny\nreport: {mixed: [all_raw, y]}",
            "report.mixed: there is no 'y'",
        ),
        ("name: tiny", "name: tiny\nreport: {fine_task: z}", "report.fine_task: there is no 'z'"),
        ("\n    - {use: raw}", "", "mixes.all_raw: it has no entries"),
        ("name: tiny", "name: ${RECAP_NO_SUCH_VARIABLE}", "the environment has no"),
        ("{use: raw}", "{use: {best_of: [raw, coca]}, where: {top: 0.3}}", "say which score"),
        (
            "{use: raw}",
            "{use: {best_of: [raw, coca]}, where: {all: [{at_least: {top: 0.3, of: raw}}]}}",
            "mixes.all_raw.rules.0.where.all.0.of: say which score",
        ),
        ("{use: raw}", "{use: {best: [raw]}}", "a use is the name of a source, or one of"),
        ("{use: raw}", "{use: null}", "mixes.all_raw.rules.0.use: a use is the name of a source"),
        ("{use: raw}", "{use: 3}", "put it in quotes (it is 3)"),
        (
            "{use: raw}",
            "{use: raw, where: {top: 0.3, topp: 0.2}}",
            "mixes.all_raw.rules.0.where.topp: unknown key; did you mean 'top'?",
        ),
        ("scorers:", "image_scorers:", ": scorers: Field required"),
        ("{use: raw}", "{use: raw, where: 3}", "a condition is one of top, best"),
        (
            "{use: raw}",
            "{use: raw, where: {at_least: {in_set: x}}}",
            "mixes.all_raw.rules.0.where.at_least: a condition is one of top, best",
        ),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in MINIMAL
    text = error_of(tmp_path, MINIMAL.replace(old, new, 1))
    assert told in text
    assert str(tmp_path / "experiment.yaml") in text


def test_a_cutoff_that_names_no_source_ranks_the_tested_one(tmp_path: Path) -> None:
    where = "{use: {best_of: [raw, coca]}, where: {at_least: {top: 0.3}, of: coca}}"
    mix = load_experiment(written(tmp_path, MINIMAL.replace("{use: raw}", where))).mixes["all_raw"]
    (rule,) = mix.rules
    assert rule.where is not None
    assert [one.source for one in rule.where.needs(rule.place(0))] == ["coca"]


def test_an_error_says_each_thing_once(tmp_path: Path) -> None:
    text = error_of(tmp_path, MINIMAL.replace("{use: raw}", "{use: raw, where: {top: 1.5}}"))
    assert text.count("\n") == 0
    assert "mixes.all_raw.rules.0.where.top:" in text


@pytest.mark.parametrize(
    "section", [name for name, field in Experiment.model_fields.items() if not field.is_required()]
)
def test_a_section_without_entries_is_as_one_that_is_left_out(tmp_path: Path, section: str) -> None:
    content = yaml.safe_load(MINIMAL)
    content.pop(section, None)
    left_out = load_experiment(written(tmp_path, yaml.safe_dump(content)))
    empty = load_experiment(written(tmp_path, f"{yaml.safe_dump(content)}{section}:\n"))
    assert empty == left_out


@pytest.mark.parametrize("section", ["name", "pool", "scorers", "mixes"])
def test_a_section_that_must_have_entries_is_named(tmp_path: Path, section: str) -> None:
    content = {**yaml.safe_load(MINIMAL), section: None}
    said = "Input should be a valid string" if section == "name" else "it has no entries"
    assert f": {section}: {said}" in error_of(tmp_path, yaml.safe_dump(content))


def test_a_missing_file_and_a_file_without_keys_are_errors_in_words(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be read"):
        load_experiment(tmp_path / "none.yaml")
    with pytest.raises(ExperimentError, match="mapping of keys"):
        load_experiment(written(tmp_path, "- a\n- b\n"))
    with pytest.raises(ExperimentError, match="not valid YAML"):
        load_experiment(written(tmp_path, "a: [b\n"))


def test_spelling_changes_no_hash(tmp_path: Path) -> None:
    plain = load_experiment(written(tmp_path, MINIMAL))
    lines = MINIMAL.replace("{kind: embedded, samples: 10}", "{samples: 10, kind: 'embedded'}")
    spelled = load_experiment(written(tmp_path, "# a comment\n" + lines))
    assert plain.canonical() == spelled.canonical()


def test_settings_are_laid_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL)
    experiment = load_experiment(path, ["seed=5", "pool.samples=20", "training.seeds=[4]"])
    assert (experiment.seed, experiment.pool.samples) == (5, 20)  # type: ignore[union-attr]
    assert experiment.training.seeds == (4,)
    with pytest.raises(ExperimentError, match=r"write key\.path=value"):
        load_experiment(path, ["seed"])


def test_a_setting_reaches_into_lists(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL)
    experiment = load_experiment(path, ["training.seeds=[4, 5]", "training.seeds.1=7"])
    assert experiment.training.seeds == (4, 7)
    with pytest.raises(ExperimentError, match="2 is no place in a list of 2; places count from 0"):
        load_experiment(path, ["training.seeds=[4, 5]", "training.seeds.2=7"])
    with pytest.raises(ExperimentError, match="what holds x is a single value"):
        load_experiment(path, ["seed=1", "seed.x=2"])
    with pytest.raises(ExperimentError, match="an experiment has no key of 5001 parts"):
        load_experiment(path, ["a" + ".b" * 5_000 + "=1"])
    with pytest.raises(ExperimentError, match="is no place in a list of 1; places count from 0"):
        load_experiment(path, ["training.seeds=[4]", f"training.seeds.{'9' * 5_000}=1"])


def test_the_environment_fills_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = MINIMAL.replace("name: tiny", "name: ${RECAP_TEST_NAME:-other}")
    assert load_experiment(written(tmp_path, text)).name == "other"
    monkeypatch.setenv("RECAP_TEST_NAME", "named")
    assert load_experiment(written(tmp_path, text)).name == "named"


def test_specs_cannot_be_changed() -> None:
    experiment = load_experiment(SHIPPED / "demo.yaml")
    with pytest.raises(ValueError, match="frozen"):
        experiment.seed = 3  # type: ignore[misc]


def test_models_that_start_from_each_other_are_refused() -> None:
    content = load_experiment(SHIPPED / "demo.yaml").model_dump(mode="json")
    models = content["models"]
    models["captioner_b"] = {**models["captioner_a"], "start_from": "captioner_a"}
    models["captioner_a"]["start_from"] = "captioner_b"
    with pytest.raises(ExperimentError, match="in a circle"):
        parse_experiment(content)


def test_the_json_schema_names_every_top_level_key() -> None:
    properties = Experiment.model_json_schema()["properties"]
    assert set(properties) == set(Experiment.model_fields)
    assert all("description" in properties[name] for name in ("name", "sources", "mixes"))


@pytest.mark.parametrize("key", ["mixes.all_raw.0.use", "mixes.all_raw.rules.0.use"])
def test_a_setting_names_a_rule_in_both_ways(tmp_path: Path, key: str) -> None:
    path = written(tmp_path, MINIMAL)
    (rule,) = load_experiment(path, [f"{key}=coca"]).mixes["all_raw"].rules
    assert (
        rule.use
        == load_experiment(written(tmp_path, MINIMAL.replace("{use: raw}", "{use: coca}")))
        .mixes["all_raw"]
        .rules[0]
        .use
    )
    with pytest.raises(ExperimentError, match=r"experiment\.yaml: mixes\.all_raw\.rules\.0\.use: "):
        load_experiment(path, [f"{key}=3"])
