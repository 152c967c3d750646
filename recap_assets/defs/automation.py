"""What starts runs by itself: a schedule for each stage, and a sensor for new shards.

All are off until they are switched on in the UI. They rest on the planner, which looks at state:
a tick that was missed is made up for by the next one.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from recap_assets.defs.assets import POOL_PARTITIONS, asset_key
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.records import DagsterRecords
from recap_assets.defs.session import Session
from recap_assets.orchestration.batches import neighbours
from recap_assets.orchestration.graph import Dimension, Graph
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

KINDS: dict[Dimension, str] = {"none": "whole", "pool": "partitions", "seed": "seeds"}
SENSOR_SECONDS = 60
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dataclass(frozen=True)
class StageJob:
    """The job of those assets of a stage that have the same kind of partitions."""

    stage: str
    assets: frozenset[str]
    definition: UnresolvedAssetJobDefinition

    @property
    def name(self) -> str:
        """The job's name in the UI."""
        return self.definition.name


def stage_jobs(graph: Graph) -> list[StageJob]:
    """A job for the assets of each stage, one for each kind of partitions that they have."""
    members: dict[tuple[str, Dimension], list[str]] = {}
    for node in graph.nodes.values():
        members.setdefault((node.stage, node.dimension), []).append(node.key)
    kinds = Counter(stage for stage, _ in members)
    return [
        StageJob(
            stage,
            frozenset(assets),
            dg.define_asset_job(
                f"{stage}_job" if kinds[stage] == 1 else f"{stage}_{KINDS[dimension]}_job",
                selection=[asset_key(asset) for asset in assets],
                description=f"The stage {stage}: {', '.join(assets)}.",
            ),
        )
        for (stage, dimension), assets in members.items()
    ]


def schedule_of(session: Session, job: StageJob) -> dg.ScheduleDefinition:
    """The schedule that builds what is out of date and ready among the job's assets."""

    @dg.schedule(
        name=f"{job.name}_schedule",
        job_name=job.name,
        cron_schedule=STAGE_CRON[job.stage],
        description=f"Builds what is out of date in the stage {job.stage}, and nothing else.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        under_way = dg.RunsFilter(job_name=job.name, statuses=UNFINISHED)
        if context.instance.get_runs_count(under_way):
            yield dg.SkipReason("the last runs of this job are still under way")
            return
        requests = list(stale_runs(session, context.instance, job.assets))
        yield from requests or [dg.SkipReason("everything that can be built is up to date")]

    return tick


def stale_runs(
    session: Session, instance: dg.DagsterInstance, assets: Collection[str]
) -> Iterator[dg.RunRequest]:
    """A run for each group of neighbouring partitions that are out of date and ready."""
    graph = session.graph
    ready: dict[str, list[str]] = {}
    for entry in plan(graph, DagsterRecords(instance)).ready:
        if entry.asset in assets:
            ready.setdefault(entry.asset, []).append(entry.partition)
    for asset, partitions in ready.items():
        for group in neighbours(graph.partitions(graph.nodes[asset]), partitions):
            yield dg.RunRequest(asset_selection=[asset_key(asset)], tags=range_tags(group))


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
