"""Schedules ask for exactly what is ready, the sensor for partitions of finished shards."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from recap_assets.defs.assets import POOL_PARTITIONS, asset_key, assets_of
from recap_assets.defs.automation import schedule_of, sensors_of, stage_jobs, stale_runs
from recap_assets.defs.ranges import RANGE_END, RANGE_START
from recap_assets.defs.records import DagsterRecords
from recap_assets.defs.session import Session
from recap_assets.orchestration.planner import plan
from recap_assets.specs.tables import RAW_POOL
from recap_assets_tests.defs.shards import write_shard

WORLD, RAW = "embedded_world/pool", "raw_pool"


def execute(session: Session, instance: dg.DagsterInstance, request: dg.RunRequest) -> None:
    definitions = dg.Definitions(assets=assets_of(session.graph, session.setting))
    job = definitions.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(
        instance=instance, asset_selection=request.asset_selection, tags=dict(request.tags)
    ).success


def ranges(requests: list[dg.RunRequest]) -> list[tuple[str | None, str | None]]:
    return [(r.tags.get(RANGE_START), r.tags.get(RANGE_END)) for r in requests]


def test_a_run_is_asked_for_exactly_what_is_ready(
    session: Session, instance: dg.DagsterInstance
) -> None:
    (request,) = stale_runs(session, instance, {WORLD})
    assert request.asset_selection == [asset_key(WORLD)]
    assert ranges([request]) == [("00000", "00002")]
    assert list(stale_runs(session, instance, {RAW})) == []


def test_running_what_was_asked_for_brings_it_up_to_date(
    session: Session, instance: dg.DagsterInstance
) -> None:
    (request,) = stale_runs(session, instance, {WORLD})
    execute(session, instance, request)
    assert list(stale_runs(session, instance, {WORLD})) == []
    (request,) = stale_runs(session, instance, {RAW})
    execute(session, instance, request)
    assert not {WORLD, RAW} & {
        e.asset for e in plan(session.graph, DagsterRecords(instance)).entries
    }


def test_a_gap_splits_the_runs(session: Session, instance: dg.DagsterInstance) -> None:
    for request in stale_runs(session, instance, {WORLD}):
        execute(session, instance, request)
    for request in stale_runs(session, instance, {RAW}):
        execute(session, instance, request)
    tables = session.setting.workspace.tables
    tables.remove(RAW_POOL, {"partition": "00000"})
    tables.remove(RAW_POOL, {"partition": "00002"})
    found = list(stale_runs(session, instance, {RAW}))
    assert ranges(found) == [("00000", "00000"), ("00002", "00002")]


@pytest.fixture
def world_job(session: Session) -> dg.ScheduleDefinition:
    jobs = {job.name: job for job in stage_jobs(session.graph)}
    assert {"world_partitions_job", "world_whole_job", "pool_job", "training_job"} <= set(jobs)
    return schedule_of(session, jobs["world_partitions_job"])


def tick(schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance) -> object:
    context = dg.build_schedule_context(instance=instance)
    return schedule.evaluate_tick(context)


def test_a_tick_asks_for_runs_until_everything_is_up_to_date(
    session: Session, instance: dg.DagsterInstance, world_job: dg.ScheduleDefinition
) -> None:
    requests = list(tick(world_job, instance).run_requests)
    assert ranges(requests) == [("00000", "00002")]
    for request in requests:
        execute(session, instance, request)
    after = tick(world_job, instance)
    assert not after.run_requests
    assert "up to date" in after.skip_message


def test_a_tick_waits_for_the_runs_of_the_last_one(
    instance: dg.DagsterInstance, world_job: dg.ScheduleDefinition
) -> None:
    run = dg.DagsterRun(job_name=world_job.job_name, status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    after = tick(world_job, instance)
    assert not after.run_requests
    assert "under way" in after.skip_message


def test_a_shard_that_lands_gives_a_partition_and_a_half_written_one_none(
    opened: Callable[..., Session], tmp_path: Path
) -> None:
    folder = tmp_path / "pool"
    write_shard(folder, 0, ["a boat"])
    session = opened(pool={"kind": "webdataset", "shards": str(folder)})
    instance = session.open_instance()
    (sensor,) = sensors_of(session)

    def look():
        return sensor.evaluate_tick(dg.build_sensor_context(instance=instance))

    assert "no new shards" in look().skip_message
    half = write_shard(folder, 1, ["a tree"], suffix=".tar.part")
    assert "no new shards" in look().skip_message
    half.rename(folder / "00000001.tar")
    (request,) = look().dynamic_partitions_requests
    assert (request.partitions_def_name, request.partition_keys) == (POOL_PARTITIONS, ["00001"])
