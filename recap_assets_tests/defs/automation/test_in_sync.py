"""The check `in_sync` says what the planner says, and only when it changed."""

from collections.abc import Callable

import dagster as dg
import pytest
from dagster._core.events import StepMaterializationData

from recap_assets.defs.assets import asset_key
from recap_assets.defs.automation.in_sync import IN_SYNC, Verdict, news, verdicts
from recap_assets.defs.automation.outlook import Watch
from recap_assets.defs.platform import definitions_of
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.records import DagsterRecords
from recap_assets.defs.session import Session
from recap_assets.graph.planner import OutOfDate, plan
from recap_assets_tests.defs.automation.conftest import PARTITIONS, RAW, WORLD, Build
from recap_assets_tests.tiny import EXPERIMENT


def stale(partition: str, reason: str = "never built") -> OutOfDate:
    return OutOfDate("a", partition, "ready", reason)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict(3), "up to date"),
        (Verdict(1, (stale(""),)), "it is out of date: never built"),
        (Verdict(4, (stale("1"), stale("2"))), "2 of 4 are out of date: never built"),
        (Verdict(4, (OutOfDate("a", "9", "leaving", "left"),)), "1 to be removed: left"),
        (
            Verdict(4, (stale("1", "x"), stale("2", "y"), stale("3", "y"))),
            "3 of 4 are out of date: y, and 1 more reason",
        ),
    ],
)
def test_a_verdict_in_words(verdict: Verdict, words: str) -> None:
    assert verdict.description == words
    assert verdict.passed == (words == "up to date")


def test_reasons_name_their_first_partitions() -> None:
    entries = tuple(stale(f"{i:02d}", "x" if i else "y") for i in range(13))
    figures = {name: value.value for name, value in Verdict(20, entries).metadata.items()}
    assert (figures["out of date"], figures["partitions"]) == (13, 20)
    assert figures["reason 1"] == ("x [01, 02, 03, 04, 05, 06, 07, 08, 09, 10 and 2 more]")
    assert figures["reason 2"] == "y [00]"


def told(instance: dg.DagsterInstance, watch: Watch) -> dict[str, tuple[bool, str | None]]:
    """What is news now, told to the instance as the daemon does."""
    fresh = news(instance, verdicts(watch.look(instance), [WORLD, RAW]))
    for evaluation in fresh:
        instance.report_runless_asset_event(evaluation)
    return {"/".join(e.asset_key.path): (e.passed, e.description) for e in fresh}


def test_a_verdict_is_told_when_it_changed_and_not_again(
    instance: dg.DagsterInstance, watch: Watch, build: Build
) -> None:
    assert told(instance, watch) == {
        WORLD: (False, "3 of 3 are out of date: never built"),
        RAW: (False, f"3 of 3 are out of date: never built; upstream will change: {WORLD}"),
    }
    assert told(instance, watch) == {}
    build(WORLD)
    assert told(instance, watch) == {
        WORLD: (True, "up to date"),
        RAW: (False, "3 of 3 are out of date: never built"),
    }
    assert told(instance, watch) == {}


def test_a_run_judges_its_own_assets_in_one_step(
    session: Session, instance: dg.DagsterInstance, watch: Watch
) -> None:
    told(instance, watch)
    job = definitions_of(session).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[asset_key(WORLD), asset_key(RAW)],
        tags=dict(range_tags(PARTITIONS)),
    )
    found = [e for e in result.get_asset_check_evaluations() if e.check_name == IN_SYNC]
    assert {("/".join(e.asset_key.path), e.passed) for e in found} == {(WORLD, True), (RAW, True)}
    steps = {
        event.step_key for event in result.all_events if event.event_type_value == "STEP_START"
    }
    assert len(steps) == 3
    assert told(instance, watch) == {}


def test_a_run_that_is_to_judge_is_waited_for_and_its_death_is_made_up_for(
    session: Session, instance: dg.DagsterInstance, watch: Watch
) -> None:
    told(instance, watch)
    job = definitions_of(session).resolve_implicit_global_asset_job_def()
    check = dg.AssetCheckKey(asset_key(WORLD), IN_SYNC)
    job = job.get_subset(asset_selection={asset_key(WORLD)}, asset_check_selection={check})
    run = instance.create_run_for_job(
        job, asset_selection=job.asset_selection, status=dg.DagsterRunStatus.STARTED
    )
    assert told(instance, watch) == {}
    instance.report_run_failed(run)
    assert set(told(instance, watch)) == {WORLD}
    assert told(instance, watch) == {}


def test_what_left_the_experiment_is_not_judged(instance: dg.DagsterInstance, watch: Watch) -> None:
    assert verdicts(watch.look(instance), ["curated_mixes/gone"]) == {}


def test_the_badge_is_the_plan_after_an_edit_and_after_each_backfill(
    instance: dg.DagsterInstance, watch: Watch, build: Build, opened: Callable[..., Session]
) -> None:
    build(WORLD, RAW)
    assert {passed for passed, _ in told(instance, watch).values()} == {True}
    edited = opened(pool={**EXPERIMENT["pool"], "samples": 59})

    def planned(asset: str) -> set[str]:
        entries = plan(edited.graph, DagsterRecords(instance)).to_build
        return {entry.partition for entry in entries if entry.asset == asset}

    def badges() -> dict[str, str]:
        told(instance, watch)
        keys = [dg.AssetCheckKey(asset_key(asset), IN_SYNC) for asset in (WORLD, RAW)]
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        return {"/".join(key.asset_key.path): one.status.value for key, one in found.items()}

    assert badges() == {WORLD: "FAILED", RAW: "FAILED"}
    assert planned(WORLD) == planned(RAW) == {"00002"}
    # A backfill of what waits for something else makes nothing of it green.
    job = definitions_of(edited).resolve_implicit_global_asset_job_def()

    def backfill(*assets: str) -> dg.ExecuteInProcessResult:
        selected = [asset_key(asset) for asset in assets]
        tags = dict(range_tags(PARTITIONS))
        return job.execute_in_process(instance=instance, asset_selection=selected, tags=tags)

    alone = backfill(RAW)
    (verdict,) = [e for e in alone.get_asset_check_evaluations() if e.check_name == IN_SYNC]
    assert not verdict.passed
    assert verdict.description == f"1 of 3 are out of date: upstream will change: {WORLD}"
    results = [one.materialization.metadata for one in materializations(alone)]
    assert {str(metadata["result"].value) for metadata in results} == {"reused"}
    assert badges()[RAW] == "FAILED"
    assert planned(RAW) == {"00002"}

    assert backfill(WORLD, RAW).success
    assert badges() == {WORLD: "SUCCEEDED", RAW: "SUCCEEDED"}
    assert planned(WORLD) == planned(RAW) == set()


def materializations(result: dg.ExecuteInProcessResult) -> list[StepMaterializationData]:
    events = [event for event in result.all_events if event.is_step_materialization]
    return [event.step_materialization_data for event in events]
