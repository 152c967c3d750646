"""A schedule's tick submits one backfill of what is out of date in its stage."""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from recap_assets.defs.automation.backfills import STAGE_TAG, backfill_job, schedule_of
from recap_assets.defs.automation.outlook import Watch
from recap_assets.defs.platform import definitions_of
from recap_assets.defs.session import Session
from recap_assets.specs.automation import Automation
from recap_assets_tests.defs.automation.conftest import PARTITIONS, RAW, WORLD, Build

CONFIG = {"ops": {"submit_backfill": {"config": {"stage": "pool"}}}}
Tick = Callable[[], object]


@pytest.fixture
def tick(watch: Watch, instance: dg.DagsterInstance) -> Tick:
    schedule = schedule_of(watch, Automation(), "pool", backfill_job(watch))
    night = datetime(2030, 1, 1, 2, tzinfo=UTC)

    def evaluate() -> object:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=night)
        return schedule.evaluate_tick(context)

    return evaluate


def submit(session: Session, instance: dg.DagsterInstance) -> None:
    """What the run that a tick asks for does."""
    job = definitions_of(session).get_repository_def().get_job("scheduled_backfill")
    assert job.execute_in_process(instance=instance, run_config=CONFIG).success


def test_a_tick_asks_for_a_backfill_of_what_can_be_built(
    session: Session, instance: dg.DagsterInstance, tick: Tick, build: Build
) -> None:
    assert "up to date" in tick().skip_message
    build(WORLD)
    (request,) = tick().run_requests
    assert request.run_config == CONFIG
    submit(session, instance)
    (backfill,) = instance.get_backfills()
    assert backfill.tags == {STAGE_TAG: "pool"}
    assert backfill.title == "pool, by its schedule"
    assert backfill.description == "raw_pool (3)"
    ((key, partitions),) = (
        backfill.asset_backfill_data.target_subset.partitions_subsets_by_asset_key.items()
    )
    assert key.to_user_string() == RAW
    assert set(partitions.get_partition_keys()) == set(PARTITIONS)


def test_a_tick_waits_for_the_backfill_of_the_last_one(
    session: Session, instance: dg.DagsterInstance, tick: Tick, build: Build
) -> None:
    build(WORLD)
    submit(session, instance)
    assert "under way" in tick().skip_message
    (backfill,) = instance.get_backfills()
    instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_FAILED))
    assert tick().run_requests


def test_a_tick_waits_for_the_run_that_submits(
    instance: dg.DagsterInstance, tick: Tick, build: Build
) -> None:
    build(WORLD)
    run = dg.DagsterRun("scheduled_backfill", tags={STAGE_TAG: "pool"})
    instance.add_run(run)
    assert "under way" in tick().skip_message


def test_a_run_with_nothing_to_do_submits_nothing(
    session: Session, instance: dg.DagsterInstance
) -> None:
    submit(session, instance)
    assert not instance.get_backfills()


def test_declared_schedules_are_on_and_the_others_keep_a_cron(
    opened: Callable[..., Session],
) -> None:
    session = opened(
        automation={"schedules": {"captions": "30 3 * * mon"}, "timezone": "Europe/Berlin"}
    )
    schedules = {s.name: s for s in definitions_of(session).get_repository_def().schedule_defs}
    captions, scores = schedules["captions_schedule"], schedules["scores_schedule"]
    assert (captions.cron_schedule, captions.default_status.value) == ("30 3 * * mon", "RUNNING")
    assert (scores.cron_schedule, scores.default_status.value) == ("15 * * * *", "STOPPED")
    assert captions.execution_timezone == "Europe/Berlin"
