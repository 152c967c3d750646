"""What starts runs by itself: a schedule for each stage, and a sensor for new shards.

All are off until they are switched on in the UI. They rest on the planner, which looks at state:
a tick that was missed is made up for by the next one.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from recap_assets.defs.assets import POOL_PARTITIONS, asset_key
from recap_assets.defs.events import DagsterRecords
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.session import Session
from recap_assets.orchestration.batches import neighbours
from recap_assets.orchestration.planner import plan

STAGE_CRON = {
    "world": "0 0 * * *",
    "pool": "0 * * * *",
    "models": "0 1 * * *",
    "captions": "0 2 * * *",
    "scores": "15 * * * *",
    "diversity": "30 * * * *",
    "mixes": "45 * * * *",
    "training": "0 4 * * *",
    "evaluation": "0 6 * * *",
    "report": "0 7 * * *",
}
"""When each stage's schedule looks for what is out of date: hourly where it is cheap."""

SENSOR_SECONDS = 60


def schedules_of(
    session: Session, jobs: Mapping[str, UnresolvedAssetJobDefinition]
) -> list[dg.ScheduleDefinition]:
    """For each stage's jobs a schedule that builds what is out of date and ready."""
    return [_schedule(session, name) for name in jobs]


def _schedule(session: Session, job_name: str) -> dg.ScheduleDefinition:
    stage = job_name.split("_", maxsplit=1)[0]

    @dg.schedule(
        name=f"{job_name}_schedule",
        job_name=job_name,
        cron_schedule=STAGE_CRON[stage],
        description=f"Builds what is out of date in the stage {stage}.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        requests = list(stale_runs(session, context.instance, stage, job_name))
        yield from requests or [dg.SkipReason(f"everything in the stage {stage} is up to date")]

    return tick


def stale_runs(
    session: Session, instance: dg.DagsterInstance, stage: str, job_name: str
) -> Iterator[dg.RunRequest]:
    """A run for each group of neighbouring partitions of the stage that are ready to be built."""
    graph = session.graph
    ready: dict[str, list[str]] = {}
    for entry in plan(graph, DagsterRecords(instance)).ready:
        if graph.nodes[entry.asset].stage == stage:
            ready.setdefault(entry.asset, []).append(entry.partition)
    for asset, partitions in ready.items():
        node = graph.nodes[asset]
        if not job_name.endswith(("_none", "_pool", "_seed")) or job_name.endswith(node.dimension):
            for group in neighbours(graph.partitions(node), partitions):
                yield _request(asset, group)


def _request(asset: str, group: Sequence[str]) -> dg.RunRequest:
    return dg.RunRequest(asset_selection=[asset_key(asset)], tags=range_tags(group))


def sensors_of(session: Session) -> list[dg.SensorDefinition]:
    """The sensor that adds a partition when new shards have landed."""

    @dg.sensor(
        name="new_shards",
        minimum_interval_seconds=SENSOR_SECONDS,
        description="Lists the pool and adds partitions for shards that are complete.",
    )
    def new_shards(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        session.setting.scan()
        known = set(context.instance.get_dynamic_partitions(POOL_PARTITIONS))
        new = [key for key in session.setting.partitions if key not in known]
        if not new:
            return dg.SkipReason("no new shards")
        request = dg.AddDynamicPartitionsRequest(POOL_PARTITIONS, new)
        return dg.SensorResult(dynamic_partitions_requests=[request])

    return [new_shards]
