"""All of Dagster's definitions for one experiment."""

import dagster as dg

from recap_assets.defs.assets import asset_key, assets_of
from recap_assets.defs.automation.backfills import backfill_job, schedule_of, stage_jobs
from recap_assets.defs.automation.conditions import bring_up_to_date
from recap_assets.defs.automation.in_sync import in_sync_check
from recap_assets.defs.automation.outlook import OpenExperiment, Watch
from recap_assets.defs.automation.sensors import sensors_of
from recap_assets.specs.automation import STAGES, Automation


def definitions_of(session: OpenExperiment) -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors of an experiment, and how they are executed."""
    # A process for each step costs 5 to 10 s, most of it to import the model libraries, and a
    # model would be loaded for each step where now a run loads it once for all steps that use
    # it. What runs at the same time are runs: a backfill is split by partitions. A crash of
    # native code ends the run and not one step; the partitions that it had finished are kept,
    # and what is left is launched again.
    by_run = dg.Definitions(executor=dg.in_process_executor)
    return dg.Definitions.merge(definitions_within(session), by_run)


def definitions_within(session: OpenExperiment, *, lists_pool: bool = False) -> dg.Definitions:
    """The same for a project that has an executor and resources of its own.

    Args:
        session: The experiment.
        lists_pool: Whether the sensor that gives Dagster the pool's partitions is on in any case,
            since nothing else there does.
    """
    graph = session.graph
    automation = session.project.experiment.automation
    watch = Watch(session)
    by_itself = [node.key for node in graph.nodes.values() if node.stage in automation.stages]
    submit = backfill_job(watch)
    stages = {node.stage for node in graph.nodes.values()}
    return dg.Definitions(
        assets=_assets(session, watch, automation, by_itself),
        asset_checks=[in_sync_check(watch, graph)],
        jobs=[*(job.definition for job in stage_jobs(graph)), submit],
        schedules=[
            schedule_of(watch, automation, stage, submit) for stage in STAGES if stage in stages
        ],
        sensors=sensors_of(watch, automation, by_itself, lists_pool=lists_pool),
    )


def _assets(
    session: OpenExperiment, watch: Watch, automation: Automation, by_itself: list[str]
) -> list[dg.AssetsDefinition]:
    condition = bring_up_to_date(watch, automation.max_attempts)
    keys = {asset_key(asset) for asset in by_itself}

    def with_condition(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key not in keys:
            return spec
        return spec.replace_attributes(automation_condition=condition)

    assets = assets_of(session.graph, session.project, file=session.path)
    return [asset.map_asset_specs(with_condition) for asset in assets]
