"""A condition and a use of another package: wherever ours stand, told, decided by, and missed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.graph.project import Project
from recap_assets.mixes.assets import nodes
from recap_assets.mixes.difference import Comparison
from recap_assets.mixes.of_image import explain_image
from recap_assets.mixes.stored_trial import trial
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import ExperimentError, UnknownKindError
from recap_assets_tests.mixes.written_mixes import (
    build_mixes,
    mixes_experiment,
    uid_of,
    written_pool,
)
from recap_assets_tests.third_party.installing import install, look_again, uninstalled

PACKAGE = Path(__file__).with_name("package")
POINTS = {
    "conditions": {"words_at_least": "recap_shades.mixes:Wordy"},
    "uses": {"shortest_of": "recap_shades.mixes:ShortestOf"},
}
GIVEN = {"distribution": "recap-shades", "implementation": 1}
WORDY = {"words_at_least": 5}
SHORTEST = {"shortest_of": ["raw", "a"]}
MIXES: dict[str, Any] = {
    "alone": [{"use": "raw", "where": WORDY}],
    "inside": [{"use": "raw", "where": {"all": [{"any": [WORDY, {"top": 0.1}]}, {"top": 0.9}]}}],
    "contrary": [{"use": "raw", "where": {"without": {**WORDY, "of": "a"}}}],
    "shortest": {"rules": [{"use": SHORTEST}], "leave_one_source_out": True},
}


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PACKAGE))
        install(tmp_path_factory.mktemp("site"), patch, "recap-shades", POINTS)
        yield
    for name in [name for name in sys.modules if name.startswith("recap_shades")]:
        del sys.modules[name]
    look_again()


def experiment(**mixes: Any) -> Experiment:
    return mixes_experiment(
        mixes={
            name: {"scorer": "clip", **(mix if isinstance(mix, dict) else {"rules": mix})}
            for name, mix in mixes.items()
        }
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = written_pool(tmp_path_factory.mktemp("data"), experiment(**MIXES))
    build_mixes(project)
    return project


def images(project: Project, mix: str) -> set[bytes]:
    return set(project.workspace.tables.read(CURATED_MIXES, mix=mix)["uid"])


def test_it_selects_alone_and_inside_of_ours(project: Project) -> None:
    # Raw texts have five words, image 3's has other ones; captions of source a have four.
    raw = project.workspace.tables.read(CURATED_MIXES, mix="alone")
    assert uid_of(3) not in images(project, "alone")
    assert raw["text"].str.starts_with("raw words of image").all()
    assert raw.height == 52
    everyone = images(project, "alone") | {uid_of(3)}
    assert images(project, "contrary") == everyone - {uid_of(7)}
    assert images(project, "inside") < everyone
    assert len(images(project, "inside")) >= 0.85 * len(everyone)


def test_it_is_counted_before_anything_is_built(project: Project) -> None:
    counted = {row["mix"]: row["n_pairs"] for row in trial(project).to_dicts()}
    for name in project.experiment.mixes:
        stored = project.workspace.tables.read(CURATED_MIXES, mix=name)
        assert counted[name] == stored.height


def test_an_image_is_told_why(project: Project) -> None:
    told = {one.mix: one for one in explain_image(project, uid_of(3).hex()).mixes}
    assert all(one.problem is None for one in told.values())
    why = {name: one.explanation for name, one in told.items()}
    assert all(why.values())
    assert why["alone"].rules[0].words == (  # type: ignore[union-attr]
        "raw has 3 words, and 5 are needed: no, so rules.0 passes it on"
    )
    inner = why["inside"].rules[0].where.parts[0].parts[0]  # type: ignore[union-attr]
    assert (inner.path, inner.holds) == ("rules.0.where.all.0.any.0", False)
    assert why["shortest"].rules[0].use.startswith("shortest_of [raw, a]: ")  # type: ignore[union-attr]


def test_an_image_without_the_caption_is_unknown(project: Project) -> None:
    (contrary,) = explain_image(project, uid_of(7).hex(), "contrary").mixes
    assert contrary.explanation is not None
    assert contrary.explanation.rules[0].where is not None
    assert contrary.explanation.rules[0].where.holds is None


def test_a_source_is_left_out_of_it_and_the_mixes_are_compared(project: Project) -> None:
    assert project.experiment.left_out["shortest"].keys() == {"raw", "a"}
    tables = project.workspace.tables
    whole, without = (
        tables.read(CURATED_MIXES, mix=name) for name in ("shortest", "shortest_without_a")
    )
    assert set(without["source"]) == {"raw"}
    assert set(whole["source"]) == {"raw", "a"}
    comparison = Comparison()
    comparison.add(whole, without)
    assert comparison.n_changed["recaptioned"] == (whole["source"] == "a").sum() - 1  # image 5


def test_it_decides_by_its_distribution_where_it_stands(project: Project) -> None:
    decides = {node.key: json.loads(node.decides)["mix"] for node in nodes(project)}
    for asset in (CURATED_MIXES, THRESHOLDS):
        inner = decides[asset.key("inside")]["rules"][0]["where"]["all"][0]["any"]
        assert inner[0] == {**WORDY, "of": None, **GIVEN}
        assert inner[1] == {"top": 0.1, "of": None}
        assert decides[asset.key("shortest")]["rules"][0]["use"] == {**SHORTEST, **GIVEN}
        assert decides[asset.key("shortest_without_a")]["rules"][0]["use"] == "raw"
    given = project.experiment.mixes["inside"].given_by
    assert given == {"recap.kind": "recap-shades 1.2"}


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"use": "raw", "where": {"all": [{**WORDY, "of": "b"}]}},
         "mixes.m.rules.0.where.all.0.of: there is no 'b'; known are a, raw"),
        ({"use": {"shortest_of": ["raw", "b"]}},
         "mixes.m.rules.0.use.shortest_of: there is no 'b'; known are a, raw"),
        ({"use": SHORTEST, "where": {"any": [WORDY]}},
         "mixes.m.rules.0.where.any.0.of: say which source's score is meant, since the rule uses"),
        ({"use": "raw", "where": {"words_at_least": 0}}, "greater than 0 (it is 0)"),
        ({"use": "raw", "where": {"without": {"words_at_lest": 3}}},
         "mixes.m.rules.0.where.without: a condition is one of top, best, at_least, in_set, all, "
         "any, without, words_at_least"),
        ({"use": {"shortest": ["raw", "a"]}},
         "a use is the name of a source, or one of source, best_of, random_of, join, each, "
         "shortest_of"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(rule: dict[str, Any], told: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        experiment(m=[rule])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_gone_it_is_missed_by_its_word() -> None:
    with uninstalled(), pytest.raises(UnknownKindError) as caught:
        experiment(inside=MIXES["inside"], shortest=MIXES["shortest"])
    assert set(caught.value.words) == {
        ("conditions", "words_at_least"), ("uses", "shortest_of")
    }  # fmt: skip
    assert experiment(**MIXES).givers() == {
        "conditions.words_at_least": "recap-shades 1.2", "uses.shortest_of": "recap-shades 1.2",
    }  # fmt: skip


def test_the_shortest_is_taken(project: Project) -> None:
    rows = project.workspace.tables.read(CURATED_MIXES, mix="shortest")
    of_three = rows.filter(pl.col("uid") == pl.lit(uid_of(3)))
    assert of_three["source"].to_list() == ["a"]
