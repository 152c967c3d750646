"""Mixes over several scorers and an image scorer, from the tables: built, tried, told, compared."""

import json
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.scores import IMAGE_SCORES
from recap_assets.graph.project import Project
from recap_assets.mixes import trial_diversity
from recap_assets.mixes.assets import nodes, parts_of
from recap_assets.mixes.comparing import compare_mixes, difference_as_json, mix_version
from recap_assets.mixes.cutoffs import realise
from recap_assets.mixes.diversity import unique_trigrams_of_mixes
from recap_assets.mixes.of_image import answer_as_json, explain_image
from recap_assets.mixes.stored_scores import score_view
from recap_assets.mixes.stored_trial import realised, trial
from recap_assets.mixes.trial_diversity import partitions_tried, unique_trigrams_of_trial
from recap_assets.specs.loading import ExperimentError
from recap_assets.specs.mixes import Mix
from recap_assets.storage import handles
from recap_assets.storage.locations import LocatedTable
from recap_assets_tests.mixes.written_mixes import (
    build_mixes,
    mixes_experiment,
    uid_of,
    written_pool,
)

HEAD = {"kind": "embedding_head", "scorer": "clip", "weights": "head.safetensors"}
MIXES = {
    "by_other": {
        "scorer": "clip",
        "rules": [{"use": "raw", "where": {"top": 0.3, "of": "other.raw"}}],
    },
    "pretty": {
        "scorer": "clip",
        "rules": [
            {"use": "raw", "where": {"all": [{"at_least": 5.4, "of": "beauty"}, {"top": 0.9}]}}
        ],
    },
    "best": {
        "scorer": "clip",
        "rules": [
            {
                "use": {"best_of": ["raw", "a"], "scorer": "other"},
                "where": {"top": 0.5, "of": "other.used"},
            }
        ],
    },
    "copied": {
        "scorer": "clip",
        "rules": [{"use": {"best_of": ["raw", "a"]}}],
        "copies": {"of": "beauty", "size": 120, "cap": 5, "weights": "linear"},
    },
}


def experiment(**changes: object):
    values = {"mixes": MIXES, "image_scorers": {"beauty": HEAD}}
    return mixes_experiment(**{**values, **changes})


def write_beauty(project: Project) -> None:
    for number, partition in enumerate(project.partitions):
        images = range(20 * number, 20 * number + 17)
        rows = [(number, uid_of(i), float(i % 7)) for i in images]
        frame = pl.DataFrame(
            rows,
            schema={n: IMAGE_SCORES.schema[n] for n in ("shard", "uid", "score")},
            orient="row",
        )
        project.workspace.tables.replace(
            IMAGE_SCORES, {"scorer": "beauty", "partition": partition}, frame
        )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = written_pool(tmp_path_factory.mktemp("columns"), experiment())
    write_beauty(project)
    build_mixes(project)
    return project


def pairs(project: Project, mix: str) -> pl.DataFrame:
    return project.workspace.tables.read(CURATED_MIXES, mix=mix)


def test_what_is_tried_is_what_is_built(project: Project) -> None:
    cutoffs = realised(project)
    for row in trial(project, cutoffs).to_dicts():
        made = pairs(project, row["mix"])
        assert (row["n_pairs"], row["n_copies"]) == (made.height, made["copies"].sum())
        built = project.workspace.tables.read(THRESHOLDS, mix=row["mix"]).drop("mix")
        assert cutoffs[row["mix"]].equals(built)


def test_the_diversity_of_what_is_tried_is_that_of_what_is_built(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_diversity, "PARTITIONS_TRIED", 1)
    assert list(partitions_tried(project)) == list(project.partitions)
    found = unique_trigrams_of_trial(project, realised(project))
    assert found.equals(unique_trigrams_of_mixes(project))
    assert found["unique_trigrams"].min() > 0
    monkeypatch.setattr(trial_diversity, "SAMPLES_TRIED", 0)
    assert len(partitions_tried(project)) == 1 < len(project.partitions)


def test_a_fixed_project_opens_each_table_once_and_gives_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    class Counted(LocatedTable):
        def __init__(self, uri: str, *args: object) -> None:
            opened.append(uri)
            super().__init__(uri, *args)  # type: ignore[arg-type] - passed on as given

    expected = trial(project)
    monkeypatch.setattr(handles, "LocatedTable", Counted)
    assert trial(project.fixed()).equals(expected)
    assert len(opened) == len(set(opened)) == 3, "scores, their histograms, scores of images"


def test_a_cut_off_of_what_is_taken_reads_the_pool_once(project: Project) -> None:
    read: list[int] = []
    mix = project.experiment.mixes["best"]

    def parts():
        read.append(1)
        return parts_of(project, mix)()

    found = realise(mix, "clip", lambda column: score_view(project, "clip", column), parts)
    built = project.workspace.tables.read(THRESHOLDS, mix="best").drop("mix")
    assert found.equals(built)
    assert len(read) == 1


def test_an_image_scorers_number_is_compared_on_its_own_scale(project: Project) -> None:
    beauty = project.workspace.tables.read(IMAGE_SCORES, scorer="beauty")
    pretty = set(beauty.filter(pl.col("score") >= 5.4)["uid"])
    found = set(pairs(project, "pretty")["uid"])
    assert found
    assert found < pretty


def test_a_mix_depends_on_what_it_reads_and_on_nothing_else(project: Project) -> None:
    reads = {node.key: {one.asset for one in node.dependencies} for node in nodes(project)}
    assert reads["thresholds/by_other"] == {"clip_scores/other/raw"}
    assert reads["curated_mixes/by_other"] == {
        "thresholds/by_other", "raw_pool", "clip_scores/clip/raw", "clip_scores/other/raw"
    }  # fmt: skip
    assert reads["thresholds/pretty"] == {"image_scores/beauty", "clip_scores/clip/raw"}
    assert "image_scores/beauty" in reads["curated_mixes/pretty"]
    assert not any("beauty" in one for one in reads["curated_mixes/best"])
    assert reads["thresholds/copied"] >= {"image_scores/beauty", "synthetic_captions/a"}


def test_a_mix_that_names_no_column_has_the_form_that_it_had() -> None:
    plain = Mix.model_validate(
        [{"use": {"best_of": ["raw", "a"]}, "where": {"top": 0.3, "of": "a"}}]
    )
    written = json.loads(plain.canonical())
    assert written["rules"][0]["use"] == {"best_of": ["raw", "a"]}
    assert "copies" not in written
    assert "copies" not in plain.decides()


def test_every_image_is_told_by_the_columns_that_decided(project: Project) -> None:
    taken = dict(pairs(project, "copied").select("uid", "copies").iter_rows())
    for number in range(18):
        uid = uid_of(number)
        told = {
            one["mix"]: one for one in answer_as_json(explain_image(project, uid.hex()))["mixes"]
        }
        assert all(one["agrees"] for one in told.values())
        assert told["by_other"]["rules"][0]["where"]["words"].startswith("other.raw ")
        parts = told["pretty"]["rules"][0]["where"]["parts"]
        assert parts[0]["words"].startswith("beauty ")
        assert "other.used score" in told["best"]["rules"][0]["where"]["words"]
        assert "best_of [other.raw, other.a]" in told["best"]["rules"][0]["use"]
        drawn = told["copied"]["copies"]
        n = taken.get(uid, 0)
        assert drawn.startswith(
            "not drawn" if n == 0 else "drawn once" if n == 1 else f"drawn {n} times"
        )
        assert ("in the mix" if n else "not in the mix: a rule takes it, and it is not drawn") in (
            told["copied"]["words"]
        )


def test_other_numbers_of_copies_are_a_difference(tmp_path: Path) -> None:
    less = {**MIXES["copied"], "copies": {**MIXES["copied"]["copies"], "size": 60}}
    both = {"more": MIXES["copied"], "less": less}
    project = written_pool(tmp_path, experiment(mixes=both))
    write_beauty(project)
    build_mixes(project)
    versions = mix_version(project, "less"), mix_version(project, "more")
    found = difference_as_json(compare_mixes(project, *versions))
    old, new = (
        dict(pairs(project, m).select("uid", "copies").iter_rows()) for m in ("less", "more")
    )
    assert found["before"]["copies"] == sum(old.values())
    assert found["after"]["copies"] == sum(new.values())
    assert found["images"]["reweighted"] == sum(new[uid] != n for uid, n in old.items()) > 0
    assert found["images"]["added"] == len(new.keys() - old.keys())


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        ([{"use": "raw", "where": {"top": 0.3, "of": "nobody.raw"}}], "there is no 'nobody'"),
        ([{"use": "raw", "where": {"top": 0.3, "of": "clip.b"}}], "there is no 'b'"),
        ([{"use": "raw", "where": {"top": 0.3, "of": "ugly"}}], "known are a, beauty, raw"),
        ([{"use": "raw", "where": {"at_least": 1.5}}], "1.5 is no score of clip"),
        ([{"use": "raw", "where": {"at_least": -2, "of": "other.used"}}], "no score of other"),
        ([{"use": {"best_of": ["raw", "a"]}, "where": {"top": 0.1}}], "`used` is that of the text"),
        ([{"use": {"best_of": ["raw", "a"], "scorer": "x"}}], "there is no 'x'"),
    ],
)
def test_a_column_that_is_none_is_refused(mix: object, words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        experiment(mixes={"m": {"scorer": "clip", "rules": mix}})


@pytest.mark.parametrize(
    "fields",
    [{"combine": "all"}, {"rules": [{"use": "raw", "candidates": 2}]},
     {"rules": [{"use": {"each": {"raw": 1, "a": 1}}}]}],
)  # fmt: skip
def test_copies_are_of_one_pair_an_image(fields: dict[str, object]) -> None:
    values = {"rules": [{"use": "raw"}], "copies": {"size": 10, "cap": 2}, **fields}
    with pytest.raises(ValueError, match="a uid's copies are those of its one pair"):
        Mix.model_validate(values)


def test_no_source_is_called_used() -> None:
    source = experiment().sources["a"].model_dump(mode="json")
    with pytest.raises(ExperimentError, match="`used` is the text that a rule takes"):
        experiment(sources={"a": source, "used": source})
