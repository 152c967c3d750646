"""Two mixes, or two versions of one, compared as the tables hold them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.graph.project import Project
from recap_assets.mixes import comparing
from recap_assets.mixes.comparing import (
    MixVersionError,
    compare_mixes,
    difference_as_json,
    mix_version,
)
from recap_assets.mixes.diversity import drawn_texts, merged_draws, unique_trigrams_of_mixes
from recap_assets.storage.tables import StorageError
from recap_assets_tests.mixes.written_mixes import (
    MIXES,
    build_mixes,
    built_pool,
    mixes_experiment,
    uid_of,
    write_captions,
    written_pool,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return built_pool(tmp_path_factory.mktemp("data"))


def difference(project: Project, before: str, after: str, n_samples: int = 3) -> dict:
    versions = mix_version(project, before), mix_version(project, after)
    found = compare_mixes(project, *versions, n_samples=n_samples)
    return json.loads(json.dumps(difference_as_json(found)))


def rows_of(project: Project, mix: str) -> pl.DataFrame:
    return project.workspace.tables.read(CURATED_MIXES, mix=mix)


def test_a_mix_that_takes_more_images_adds_them(project: Project) -> None:
    found = difference(project, "raw_top30", "mixed")
    old, new = rows_of(project, "raw_top30"), rows_of(project, "mixed")
    added = set(new["uid"]) - set(old["uid"])
    assert found["images"] == {
        "added": len(added), "removed": 0, "recaptioned": 0, "resourced": 0, "reweighted": 0,
        "same": old.height,
    }  # fmt: skip
    assert found["after"]["pairs"] == new.height
    assert found["after"]["pairs_by_source"] == dict(
        new.group_by("source").len().sort("source").iter_rows()
    )
    assert found["after"]["scores"]["mean"] == pytest.approx(new["score"].mean(), abs=1e-6)
    assert len(found["samples"]) == 3
    for sample in found["samples"]:
        assert sample["change"] == "added"
        assert bytes.fromhex(sample["uid"]) in added
        assert sample["before"] == []
        [pair] = new.filter(pl.col("uid") == pl.lit(bytes.fromhex(sample["uid"]))).to_dicts()
        shown = ("source", "text", "score", "weight", "copies")
        assert sample["after"] == [{k: pair[k] for k in shown}]


def test_the_other_way_round_they_are_removed(project: Project) -> None:
    there, back = difference(project, "raw", "half"), difference(project, "half", "raw")
    assert there["images"]["removed"] == back["images"]["added"] > 0
    assert there["images"]["same"] == back["images"]["same"] > 0
    assert there["before"]["scorer"] == "clip"
    assert there["after"]["scorer"] == "other"


def test_a_mix_and_itself_do_not_differ(project: Project) -> None:
    found = difference(project, "both", "both")
    images = found["images"]
    assert images.pop("same") == found["before"]["images"] < found["before"]["pairs"]
    assert set(images.values()) == {0}
    assert found["samples"] == []
    assert found["diversity"]["unique_trigrams_before"] > 0


def test_two_versions_of_one_mix(tmp_path: Path) -> None:
    project = written_pool(tmp_path)
    build_mixes(project, ["both"])
    old = project.workspace.tables.version(CURATED_MIXES)
    write_captions(
        project.workspace.tables, "00001", {i: f"new caption of {i}" for i in range(20, 23)}
    )
    build_mixes(project, ["both"])
    found = difference(project, f"both@{old}", "both")
    # Of the other images of the partition there is no caption any more.
    assert found["images"]["recaptioned"] == 18
    assert found["images"]["same"] == found["before"]["images"] - 18
    assert found["before"]["version"] == old
    assert found["after"]["version"] > old
    assert found["changed_captions"]["before"]["n"] == 18
    assert found["changed_captions"]["after"]["n"] == 3
    samples = {sample["uid"]: sample for sample in found["samples"]}
    assert samples.keys() <= {uid_of(i).hex() for i in range(20, 38)}
    now = datetime.now(UTC)
    assert mix_version(project, f"both@{now.isoformat()}").version == found["after"]["version"]
    assert mix_version(project, f"both@{now.replace(tzinfo=None).isoformat()}") == mix_version(
        project, "both"
    )
    at_other_clock = now.astimezone().isoformat()
    assert mix_version(project, f"both@{at_other_clock}") == mix_version(project, "both")


def test_a_version_that_was_vacuumed_is_told(tmp_path: Path) -> None:
    project = written_pool(tmp_path)
    build_mixes(project, ["both"])
    old = project.workspace.tables.version(CURATED_MIXES)
    write_captions(project.workspace.tables, "00001", {20: "new"})
    build_mixes(project, ["both"])
    delta = project.workspace.tables.open(CURATED_MIXES)
    assert delta is not None
    delta.vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(StorageError, match=r"cannot be read at version .* vacuumed"):
        difference(project, f"both@{old}", "both")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nope", "no pair of a mix 'nope' is stored .*there are both, half, mixed, raw, raw_top30"),
        ("mixed@999", "there is no version 999; the newest version .* is [0-9]+"),
        ("mixed@receipt", "a number or a time such as 2026-11-20T10:00, not 'receipt'"),
        ("mixed@", "a number or a time"),
        ("mixed@2020-01-01", "begins later than that"),
        ("mixed@0", "mixed is in the file: either it is not built yet, or it takes no image"),
    ],
)
def test_an_unknown_mix_or_version_says_what_there_is(
    project: Project, text: str, words: str
) -> None:
    with pytest.raises(MixVersionError, match=words):
        mix_version(project, text)


def test_before_anything_is_built_there_is_no_mix(tmp_path: Path) -> None:
    with pytest.raises(MixVersionError, match="no mix is built yet"):
        mix_version(written_pool(tmp_path), "raw")


@pytest.mark.parametrize(
    ("at_once", "expected"), [(1, [(1, 2), (2, 2)]), (comparing.ROWS_AT_ONCE, [(1, 1)])]
)
def test_partitions_that_were_cut_otherwise_do_not_matter(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
    expected: list[tuple[int, int]],
) -> None:
    monkeypatch.setattr(comparing, "ROWS_AT_ONCE", at_once)
    wide = written_pool(tmp_path)
    pairs = rows_of(project, "mixed").drop("mix", "partition")
    tables = wide.workspace.tables
    for shard in range(3):
        at = {"mix": "mixed", "partition": f"{shard:05d}"}
        tables.replace(CURATED_MIXES, at, pairs.filter(shard=shard))
    old = tables.version(CURATED_MIXES)
    for shard in range(3):
        tables.remove(CURATED_MIXES, {"mix": "mixed", "partition": f"{shard:05d}"})
    for partition, shards in (("00000", [0, 1]), ("00001", [2])):
        rows = pairs.filter(pl.col("shard").is_in(shards))
        tables.replace(CURATED_MIXES, {"mix": "mixed", "partition": partition}, rows)
    steps: list[tuple[int, int]] = []
    versions = mix_version(wide, f"mixed@{old}"), mix_version(wide, "mixed")
    found = compare_mixes(wide, *versions, advance=lambda done, of: steps.append((done, of)))
    assert found.comparison.n_same == pairs["uid"].n_unique()
    assert not any(found.comparison.n_changed.values())
    assert steps == expected


def test_diversity_is_that_of_the_mixes_table(project: Project) -> None:
    experiment = mixes_experiment(mixes={name: MIXES[name] for name in ("raw", "mixed")})
    both = Project(experiment, project.workspace)
    known = {row["mix"]: row for row in unique_trigrams_of_mixes(both).to_dicts()}
    found = difference(both, "raw", "mixed")["diversity"]
    assert found == {
        "sample_size": known["raw"]["sample_size"],
        "unique_trigrams_before": known["raw"]["unique_trigrams"],
        "unique_trigrams_after": known["mixed"]["unique_trigrams"],
    }


def test_a_sample_of_parts_is_that_of_the_whole(project: Project) -> None:
    diversity = project.experiment.diversity
    pairs = rows_of(project, "both").select("uid", "source", "text")
    parts = [drawn_texts(pairs.gather_every(4, i), diversity) for i in range(4)]
    whole = drawn_texts(pairs.sample(fraction=1.0, shuffle=True, seed=1), diversity)
    assert whole.height == diversity.sample < pairs.height
    assert merged_draws(parts, diversity).equals(whole)


def test_a_time_between_two_builds_means_the_first(tmp_path: Path) -> None:
    project = written_pool(tmp_path)
    build_mixes(project, ["raw"])
    tables = project.workspace.tables
    first = tables.version(CURATED_MIXES)
    entry = datetime.now(UTC)
    while datetime.now(UTC) - entry < timedelta(milliseconds=20):
        pass
    build_mixes(project, ["raw_top30"])
    assert mix_version(project, f"raw@{entry.isoformat()}").version == first
