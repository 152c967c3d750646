"""A job and a schedule for each stage; a schedule's tick brings its stage up to date in a backfill.

A schedule can return runs and no backfill (Dagster 1.13), and runs reach one level only: of a mix,
the threshold now and the rows at the next tick. So a tick returns one short run, which submits a
backfill of all that the stage can do by itself; Dagster splits it into runs of
`automation.partitions_per_run` partitions, level after level.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.execution.backfill import (
    BULK_ACTION_TERMINAL_STATUSES,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
)
from dagster._core.utils import make_new_backfill_id

from recap_assets.defs.assets import asset_key, partitions_of
from recap_assets.defs.automation.outlook import Outlook, Watch
from recap_assets.graph.node import Dimension, Graph
from recap_assets.graph.planner import OutOfDate
from recap_assets.graph.reach import within
from recap_assets.specs.automation import Automation, Stage

BUILT_IN_CRON: dict[Stage, str] = {
    "world": "0 0 * * *",
    "pool": "0 * * * *",
    "models": "0 1 * * *",
    "captions": "0 2 * * *",
    "scores": "15 * * * *",
    "diversity": "30 * * * *",
    "sets": "40 * * * *",
    "mixes": "45 * * * *",
    "exports": "0 3 * * *",
    "training": "0 4 * * *",
    "evaluation": "0 6 * * *",
    "report": "0 7 * * *",
}
"""When each stage's schedule looks for what is out of date: hourly where it is cheap."""

STAGE_TAG = "recap/scheduled"
KINDS: dict[Dimension, str] = {"none": "whole", "pool": "partitions", "seed": "seeds"}
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
OPEN = [status for status in BulkActionStatus if status not in BULK_ACTION_TERMINAL_STATUSES]


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


class StageToBuild(dg.Config):
    """Which stage a scheduled backfill brings up to date."""

    stage: str


def backfill_job(watch: Watch) -> dg.JobDefinition:
    """The job that submits a backfill of what is out of date in one stage."""

    @dg.op(description="Submits a backfill of what is out of date in a stage and can be built.")
    def submit_backfill(context: dg.OpExecutionContext, config: StageToBuild) -> None:
        outlook = watch.look(context.instance)
        entries = buildable(outlook, config.stage)
        if not entries:
            context.log.info(f"everything in {config.stage} that can be built is up to date")
            return
        with partition_loading_context(dynamic_partitions_store=context.instance):
            backfill = _backfill(context.instance, config.stage, outlook.graph, entries)
        context.instance.add_backfill(backfill)
        context.log.info(f"submitted the backfill {backfill.backfill_id}: {backfill.description}")

    @dg.job(
        name="scheduled_backfill",
        description="Submits a backfill of what is out of date in a stage; its schedules start it.",
    )
    def scheduled_backfill() -> None:
        submit_backfill()

    return scheduled_backfill


def schedule_of(
    watch: Watch, automation: Automation, stage: Stage, job: dg.JobDefinition
) -> dg.ScheduleDefinition:
    """The schedule that brings a stage up to date, as far as it can be without other stages."""
    is_declared = stage in automation.schedules
    status = dg.DefaultScheduleStatus

    @dg.schedule(
        name=f"{stage}_schedule",
        job=job,
        cron_schedule=automation.schedules.get(stage, BUILT_IN_CRON[stage]),
        execution_timezone=automation.timezone,
        default_status=status.RUNNING if is_declared else status.STOPPED,
        description=f"Submits a backfill of what is out of date in the stage {stage}, and of "
        "nothing else.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if is_under_way(context.instance, stage):
            return dg.SkipReason("the last backfill of this schedule is still under way")
        if not buildable(watch.look(context.instance), stage):
            return dg.SkipReason("everything that can be built is up to date")
        config = {"ops": {"submit_backfill": {"config": {"stage": stage}}}}
        return dg.RunRequest(
            run_key=str(context.scheduled_execution_time),
            run_config=config,
            tags={STAGE_TAG: stage},
        )

    return tick


def buildable(outlook: Outlook, stage: str) -> list[OutOfDate]:
    """What of a stage can be brought up to date without building anything of another stage."""
    nodes = outlook.graph.nodes.values()
    return within(outlook.graph, outlook.plan, {n.key for n in nodes if n.stage == stage})


def is_under_way(instance: dg.DagsterInstance, stage: str) -> bool:
    """Whether a backfill of this stage's schedule, or the run that submits it, is unfinished."""
    tags = {STAGE_TAG: stage}
    runs = instance.get_runs_count(dg.RunsFilter(tags=tags, statuses=UNFINISHED))
    return bool(runs or instance.get_backfills(BulkActionsFilter(statuses=OPEN, tags=tags)))


def _backfill(
    instance: dg.DagsterInstance, stage: str, graph: Graph, entries: Sequence[OutOfDate]
) -> PartitionBackfill:
    counts = Counter(entry.asset for entry in entries)
    return PartitionBackfill.from_asset_graph_subset(
        backfill_id=make_new_backfill_id(),
        backfill_timestamp=time.time(),
        tags={STAGE_TAG: stage},
        dynamic_partitions_store=instance,
        asset_graph_subset=_subset(graph, entries),
        title=f"{stage}, by its schedule",
        description="; ".join(f"{asset} ({n})" if n > 1 else asset for asset, n in counts.items()),
        run_config=None,
    )


def _subset(graph: Graph, entries: Sequence[OutOfDate]) -> AssetGraphSubset:
    keys: dict[str, set[str]] = {}
    for entry in entries:
        keys.setdefault(entry.asset, set()).add(entry.partition)
    definitions = {asset: partitions_of(graph, graph.nodes[asset]) for asset in keys}
    return AssetGraphSubset(
        partitions_subsets_by_asset_key={
            asset_key(asset): definition.subset_with_partition_keys(keys[asset])
            for asset, definition in definitions.items()
            if definition is not None
        },
        non_partitioned_asset_keys={
            asset_key(asset) for asset, definition in definitions.items() if definition is None
        },
    )
