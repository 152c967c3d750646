"""A watch looks at the file as it is now, and once a moment."""

from collections.abc import Callable

import dagster as dg
import pytest

from recap_assets.defs.automation.outlook import Watch
from recap_assets.defs.session import Session
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.defs.automation.conftest import PARTITIONS, RAW, WORLD, Build
from recap_assets_tests.tiny import EXPERIMENT

Opened = Callable[..., Session]


def test_an_edit_is_seen_without_loading_anew(
    watch: Watch, instance: dg.DagsterInstance, build: Build, opened: Opened
) -> None:
    build(WORLD, RAW)
    before = watch.look(instance)
    assert not {WORLD, RAW} & {entry.asset for entry in before.plan.entries}
    pool = {**EXPERIMENT["pool"], "limits": {"min_side": 3}}
    opened(pool=pool)
    after = watch.look(instance)
    assert set(after.ready[RAW]) == set(PARTITIONS)
    assert after.wanted(RAW, "00000") != before.wanted(RAW, "00000")


def test_what_was_built_after_the_plan_is_told(
    watch: Watch, instance: dg.DagsterInstance, build: Build
) -> None:
    outlook = watch.look(instance)
    assert outlook.built_since(WORLD) == set()
    build(WORLD, partitions=("00001",))
    assert set(outlook.ready[WORLD]) == set(PARTITIONS)
    assert outlook.built_since(WORLD) == {"00001"}


def test_looks_of_one_moment_share_a_plan(watch: Watch, instance: dg.DagsterInstance) -> None:
    moment = object()
    first = watch.look(instance, moment=moment)
    assert watch.look(instance, moment=moment) is first
    assert watch.look(instance, moment=object()) is not first
    assert watch.look(instance) is not watch.look(instance)


def test_a_file_that_cannot_be_used_says_so_until_it_can(watch: Watch, opened: Opened) -> None:
    with pytest.raises(ExperimentError):
        opened(seed="many")
    with pytest.raises(ExperimentError, match="seed"):
        watch.session()
    opened(seed=4)
    assert watch.session().project.experiment.seed == 4


def test_another_name_asks_for_a_fresh_start(watch: Watch, opened: Opened) -> None:
    opened(name="other")
    with pytest.raises(ExperimentError, match=r"was 'tiny'.*is 'other' now.*start again"):
        watch.session()
