"""A plan expects no time of a training that is taken over, and none of its evaluation."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from recap_assets.defs.build_state import State
from recap_assets.defs.work_left import TAKING_SECONDS, WorkLeft
from recap_assets.graph.estimates import Estimates
from recap_assets.graph.planner import Plan, plan
from recap_assets.graph.taking_over import TakingOver, taking_over
from recap_assets_tests.defs.counting_kinds import POINTS
from recap_assets_tests.rebuilding.platform import Platform
from recap_assets_tests.rebuilding.test_equal_pairs import OTHER, RAW, TRAINED, built, platform_of
from recap_assets_tests.registering import registered

BOTH = {"raw": RAW, "same": RAW}
TWO_MORE = {"raw": RAW, "top": OTHER, "again": OTHER}
SEEDS = ("0", "1")
Whose = Mapping[tuple[str, str], str]


@pytest.fixture(scope="module", autouse=True)
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    families = [f"[recap.{family}]\n" + "\n".join(points) for family, points in POINTS.items()]
    with registered(tmp_path_factory.mktemp("site"), "kinds", *families):
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """One mix, trained and evaluated; tests work on copies."""
    found = platform_of(tmp_path_factory.mktemp("trained"))
    built(found)
    return found


@pytest.fixture
def platform(trained: Platform, tmp_path: Path) -> Platform:
    return trained.copied(tmp_path / "data")


def planned(platform: Platform) -> Plan:
    return plan(platform.graph, platform.memory)


def looked(platform: Platform) -> TakingOver:
    """What is known of the plan of what is open."""
    return taking_over(platform.graph, platform.memory, planned(platform).entries)


def known(platform: Platform) -> Whose:
    return {key: one.whose for key, one in looked(platform).known.items()}


def of_models(mix: str, whose: str, of: str = "") -> Whose:
    """That training and evaluation of a mix are another's."""
    return {(f"{one}{mix}", seed): f"{one}{whose}{of}" for one in TRAINED for seed in SEEDS}


def choose_pairs(platform: Platform, **changes: Any) -> None:
    """Build all that a training reads."""
    platform.open(**changes)
    trainings = [key for key in platform.graph.nodes if key.startswith("trained_clip/")]
    after = platform.graph.descendants(trainings)
    while ready := [one for one in platform.ready() if one.asset not in after]:
        for entry in ready:
            platform.build_one(entry)


def seconds(platform: Platform, taken: TakingOver, *stages: str) -> float:
    """What building all of these assets is expected to take."""
    estimates = Estimates(platform.graph, platform.memory, taking_over=taken)
    wanted = [one for one in planned(platform).to_build if one.asset.startswith(stages)]
    assert wanted
    return estimates.of_all((one.asset, one.partition) for one in wanted).seconds


def test_a_second_mix_of_the_same_pairs(platform: Platform) -> None:
    choose_pairs(platform, mixes=BOTH)
    assert known(platform) == of_models("same", "raw")
    assert seconds(platform, looked(platform), *TRAINED) == 0
    assert seconds(platform, TakingOver(), *TRAINED) > 0
    assert looked(platform).possible == {}
    assert built(platform, mixes=BOTH) == set()


def test_a_mix_that_was_renamed(platform: Platform) -> None:
    choose_pairs(platform, mixes={"other": RAW})
    assert known(platform) == of_models("other", "raw")
    assert built(platform, mixes={"other": RAW}) == set()


def test_a_mix_of_another_experiment(platform: Platform) -> None:
    changes = {"name": "second", "mixes": {"theirs": RAW}}
    choose_pairs(platform, **changes)
    found = {key: whose for key, whose in known(platform).items() if key[0].startswith(TRAINED)}
    assert found == of_models("theirs", "raw", " of experiment tiny")
    assert built(platform, **changes) == set()


def test_other_pairs_are_trained_on_and_expected(platform: Platform) -> None:
    changes = {"mixes": {"raw": RAW, "top": OTHER}}
    choose_pairs(platform, **changes)
    assert known(platform) == {}
    assert seconds(platform, looked(platform), *TRAINED) > 0
    assert built(platform, **changes) == {"trained_clip/top", "evaluation_results/top"}


def test_two_new_mixes_of_the_same_pairs_are_trained_once(platform: Platform) -> None:
    choose_pairs(platform, mixes=TWO_MORE)
    found = looked(platform)
    first, second = (
        ("top", "again") if ("trained_clip/again", "0") in found.known else ("again", "top")
    )
    assert known(platform) == of_models(second, first)
    # Whoever has no time for the first must not count on it.
    assert found.there.known == {}
    whole = seconds(platform, TakingOver(), *TRAINED)
    assert seconds(platform, found, *TRAINED) == pytest.approx(whole / 2)
    assert built(platform, mixes=TWO_MORE) == {f"{one}{first}" for one in TRAINED}


def test_of_pairs_that_are_to_be_chosen_nothing_is_promised(platform: Platform) -> None:
    platform.open(mixes={**BOTH, "top": OTHER})
    found = looked(platform)
    assert found.known == {}
    assert found.possible == {**of_models("same", "raw"), **of_models("top", "raw")}
    whole = seconds(platform, TakingOver(), *TRAINED)
    assert seconds(platform, found, *TRAINED) == whole > 0


def test_another_budget_may_not_be_taken_over(platform: Platform) -> None:
    longer = {**platform.settings["training"], "samples_seen": 24}
    platform.open(mixes=BOTH, training=longer)
    assert ("trained_clip/same", "0") not in looked(platform).possible


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_model_that_is_gone_or_cut_is_not_promised(platform: Platform, is_gone: bool) -> None:
    platform.open()
    folder = platform.project.workspace.checkpoint("raw", 0)
    if is_gone:
        shutil.rmtree(folder)
    else:
        (file,) = folder.glob("*.safetensors")
        file.write_bytes(file.read_bytes()[:-1])
    changes = {"name": "second", "mixes": {"theirs": RAW}}
    choose_pairs(platform, **changes)
    found = known(platform)
    assert ("trained_clip/theirs", "0") not in found
    assert found["trained_clip/theirs", "1"] == "trained_clip/raw of experiment tiny"
    assert "trained_clip/theirs" in built(platform, **changes)


def test_a_model_in_whose_place_another_was_trained_is_not_promised(platform: Platform) -> None:
    longer = {**platform.settings["training"], "samples_seen": 24}
    built(platform, training=longer)
    platform.open()
    assert {one.asset for one in planned(platform).ready} == {"trained_clip/raw"}
    assert known(platform) == {}
    changes = {"name": "second", "mixes": {"theirs": RAW}}
    choose_pairs(platform, **changes)
    assert not any(asset.startswith("trained_clip/") for asset, _ in known(platform))
    assert "trained_clip/theirs" in built(platform, **changes)


def test_a_model_that_the_same_build_trains_again_is_not_promised(platform: Platform) -> None:
    platform.open()
    shutil.rmtree(platform.project.workspace.checkpoint("raw", 0))
    choose_pairs(platform, mixes=BOTH)
    found = looked(platform).known
    # Seed 0 is trained once for both, whichever comes first.
    both = {("trained_clip/raw", "0"), ("trained_clip/same", "0")} & found.keys()
    assert len(both) == 1
    assert all(found[key].n_rows is None for key in both)
    assert found["trained_clip/same", "1"].whose == "trained_clip/raw"


def test_the_bar_of_a_build_counts_only_what_is_computed(platform: Platform) -> None:
    choose_pairs(platform, mixes=BOTH)
    current = Plan(tuple(one for one in planned(platform).entries if one.asset.startswith(TRAINED)))

    def left(*, reuses: bool) -> tuple[State, WorkLeft]:
        state = State()
        weights = WorkLeft(platform.graph, platform.memory, state, list, reuses=reuses)
        weights.look(current)
        weights.estimate(at_once=True)
        # As if a training took an hour.
        weights.seconds |= dict.fromkeys(weights.seconds, 3600.0)
        weights.expect(current)
        return state, weights

    n = len(current.to_build)
    without, _ = left(reuses=False)
    assert without.left_seconds == n * 3600
    state, weights = left(reuses=True)
    assert state.left_seconds == n * TAKING_SECONDS
    # What was taken over does not make the rest look fast.
    keys = {(one.asset, one.partition) for one in current.to_build}
    weights.finish(keys, keys)
    weights.expect(Plan(()))
    assert state.finished_seconds == n * TAKING_SECONDS
    assert state.share == 1
