"""Mixes that hold the same pairs: one training for all of them, wherever in the pool they are."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recap_assets.artefacts.training import TRAINING_PAIRS
from recap_assets.graph.former import TAKEN_OVER
from recap_assets.graph.records import NO_VERSIONS
from recap_assets_tests.defs.counting_kinds import POINTS
from recap_assets_tests.rebuilding.platform import Platform, Sample
from recap_assets_tests.registering import registered
from recap_assets_tests.tiny import TOWER
from recap_assets_tests.undrawn import charts_undrawn

RAW = {"scorer": "clip", "rules": [{"use": "raw"}]}
OTHER = {"scorer": "clip", "rules": [{"use": "raw", "where": {"top": 0.5}}]}
TRAINED = ("trained_clip/", "evaluation_results/")


@pytest.fixture(scope="module", autouse=True)
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    families = [f"[recap.{family}]\n" + "\n".join(points) for family, points in POINTS.items()]
    with registered(tmp_path_factory.mktemp("site"), "kinds", *families):
        yield


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return platform_of(tmp_path)


def platform_of(tmp_path: Path) -> Platform:
    """A mix of six pairs, with two seeds; nothing is built."""
    settings = {
        "corpora": {}, "models": {}, "sources": {}, "diversity": {"sample": 8},
        "pool": {"kind": "webdataset", "shards": str(tmp_path / "pool")},
        "scorers": {"clip": {"kind": "counting"}},
        "mixes": {"raw": RAW},
        "training": {"samples_seen": 16, "batch_size": 8, "tower": TOWER, "seeds": [0, 1]},
        "evaluation": {"tasks": {"own": {"kind": "embedded", "task": "coarse", "samples": 24}}},
        "report": {},
    }  # fmt: skip
    found = Platform(tmp_path, tmp_path / "data", settings)
    found.write(
        {
            f"{n:08d}": [Sample(10 * n + i, f"text {n} {i}", 10 * n + i) for i in range(3)]
            for n in range(2)
        }
    )
    return found


def built(platform: Platform, **changes: Any) -> set[str]:
    """What was computed of trainings and evaluations, and not taken over."""
    with charts_undrawn():
        platform.build(**changes)
    of_models = {one for one in platform.computed if one[0].startswith(TRAINED)}
    return {asset for asset, seed in of_models if TAKEN_OVER not in platform.facts(asset, seed)}


def weights(platform: Platform, mix: str, seed: int) -> bytes:
    (file,) = platform.project.workspace.checkpoint(mix, seed).glob("*.safetensors")
    return file.read_bytes()


def test_a_second_mix_of_the_same_pairs_takes_the_training_over(platform: Platform) -> None:
    computed = built(platform, mixes={"raw": RAW, "same": RAW, "top": OTHER})
    assert computed == {
        "trained_clip/raw", "trained_clip/top", "evaluation_results/raw", "evaluation_results/top",
    }  # fmt: skip
    assert weights(platform, "same", 0) == weights(platform, "raw", 0)
    assert weights(platform, "same", 1) == weights(platform, "raw", 1)
    assert weights(platform, "same", 0) != weights(platform, "same", 1)
    assert str(platform.facts("trained_clip/same")[TAKEN_OVER]).startswith("trained_clip/raw, ")
    alone = Platform(platform.folder, platform.folder / "alone", platform.settings)
    built(alone, mixes={"same": RAW})
    assert weights(alone, "same", 0) == weights(platform, "same", 0)


def test_a_mix_that_is_renamed_trains_nothing(platform: Platform) -> None:
    built(platform)
    assert built(platform, mixes={"other": RAW}) == set()


def test_another_experiment_calls_the_mix_otherwise(platform: Platform) -> None:
    built(platform)
    assert built(platform, name="second", mixes={"theirs": RAW}) == set()
    assert (
        "trained_clip/raw of experiment tiny" in platform.facts("trained_clip/theirs")[TAKEN_OVER]
    )


def test_another_setting_or_other_pairs_are_trained_on(platform: Platform) -> None:
    built(platform)
    longer = {**platform.settings["training"], "samples_seen": 24}
    both = {"raw": RAW, "same": RAW}
    assert built(platform, mixes=both, training=longer) >= {"trained_clip/raw"}
    mixes = {"raw": RAW, "heavier": {**RAW, "rules": [{"use": "raw", "weight": 0.5}]}}
    assert "trained_clip/heavier" in built(platform, mixes=mixes)


def test_a_model_that_was_damaged_is_not_taken_over(platform: Platform) -> None:
    built(platform)
    (file,) = platform.project.workspace.checkpoint("raw", 0).glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    computed = built(platform, mixes={"raw": RAW, "same": RAW})
    assert "trained_clip/same" in computed


def test_other_partitions_of_the_same_pairs_train_nothing(platform: Platform) -> None:
    built(platform)
    before = weights(platform, "raw", 0)
    wider = {**platform.settings["pool"], "shards_per_partition": 2}
    assert built(platform, pool=wider) == set()
    assert ("training_pairs/raw", "") in platform.computed
    assert ("trained_clip/raw", "0") not in platform.computed
    alone = Platform(platform.folder, platform.folder / "alone", platform.settings)
    built(alone, pool=wider)
    assert weights(alone, "raw", 0) == before
    assert built(platform) == set()


def test_what_was_recorded_before_there_were_sums_trains_nothing(platform: Platform) -> None:
    built(platform)
    records, tables = platform.memory.records, platform.project.workspace.tables
    pairs, trained = records["training_pairs/raw"], records["trained_clip/raw"]
    pairs[""] = replace(pairs[""], facets=NO_VERSIONS, code_version="before")
    for seed, record in trained.items():
        trained[seed] = replace(record, read=())
    rows = tables.read(TRAINING_PAIRS, mix="raw")
    tables.replace(TRAINING_PAIRS, {"mix": "raw"}, rows.drop("mix", "sum"))
    assert built(platform) == set()
    assert ("training_pairs/raw", "") in platform.computed
    assert (tables.read(TRAINING_PAIRS, mix="raw")["sum"] != "").all()
    wider = {**platform.settings["pool"], "shards_per_partition": 2}
    assert built(platform, pool=wider) == set()
    assert ("trained_clip/raw", "0") not in platform.computed
