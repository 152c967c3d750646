"""Sensors: for what is out of date, for shards that landed, and for what the UI shows."""

from collections.abc import Sequence

import dagster as dg

from recap_assets.defs.assets import POOL_PARTITIONS, asset_key
from recap_assets.defs.automation.in_sync import grouped, news, verdicts
from recap_assets.defs.automation.outlook import Watch
from recap_assets.defs.run_results import tag_backfills
from recap_assets.shards.manifest import PoolError
from recap_assets.specs.automation import Automation

MOST_ASSETS = 500
"""Dagster's limit for a sensor whose conditions are evaluated in the code location."""


def sensors_of(
    watch: Watch, automation: Automation, assets: Sequence[str], *, lists_pool: bool = False
) -> list[dg.SensorDefinition]:
    """All sensors; `in_sync` is on, those that start work where `automation.enabled` is true.

    Args:
        watch: What they look with.
        automation: What the experiment says of them.
        assets: The assets that have the automation condition.
        lists_pool: Whether the sensor for new shards is on in any case.
    """
    return [
        *condition_sensors(automation, assets),
        new_shards_sensor(watch, automation, is_on=lists_pool or automation.enabled),
        in_sync_sensor(watch, automation),
    ]


def condition_sensors(
    automation: Automation, assets: Sequence[str]
) -> list[dg.AutomationConditionSensorDefinition]:
    """The sensor that evaluates the automation conditions; several where there are many assets."""
    return [
        dg.AutomationConditionSensorDefinition(
            f"out_of_date_{i}" if i > 1 else "out_of_date",
            target=dg.AssetSelection.assets(*map(asset_key, group)),
            # The condition is a class of ours, which only the code location can evaluate.
            use_user_code_server=True,
            default_status=_status(is_on=automation.enabled),
            minimum_interval_seconds=automation.interval_seconds,
            description="Launches what is out of date and can be built, in runs and backfills.",
        )
        for i, group in enumerate(_groups(assets), start=1)
    ]


def new_shards_sensor(
    watch: Watch, automation: Automation, *, is_on: bool = False
) -> dg.SensorDefinition:
    """The sensor that makes Dagster's partitions those of the pool."""

    @dg.sensor(
        name="new_shards",
        default_status=_status(is_on=is_on),
        minimum_interval_seconds=automation.interval_seconds,
        description="Lists the pool; adds partitions for shards that are complete, and takes away "
        "those of shards that left.",
    )
    def new_shards(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        project = watch.session().project
        try:
            project.scan()
        except PoolError as error:
            return dg.SkipReason(str(error))
        known = set(context.instance.get_dynamic_partitions(POOL_PARTITIONS))
        wanted = list(project.partitions)
        requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
        if new := [key for key in wanted if key not in known]:
            requests.append(dg.AddDynamicPartitionsRequest(POOL_PARTITIONS, new))
        if gone := sorted(known.difference(wanted)):
            requests.append(dg.DeleteDynamicPartitionsRequest(POOL_PARTITIONS, gone))
        if not requests:
            return dg.SkipReason("no new shards")
        return dg.SensorResult(dynamic_partitions_requests=requests)

    return new_shards


def in_sync_sensor(watch: Watch, automation: Automation) -> dg.SensorDefinition:
    """The sensor that shows the UI what is out of date, and why."""

    @dg.sensor(
        name="in_sync",
        # It starts nothing, and without it what is out of date looks as green as all else.
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=automation.interval_seconds,
        description="Evaluates the check `in_sync` of every asset, and reports what changed: what "
        "is out of date, and why. Tags backfills that ended with what they came to. Starts no run.",
    )
    def in_sync(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        tag_backfills(context.instance)
        outlook = watch.look(context.instance)
        known = context.repository_def.asset_graph.materializable_asset_keys  # type: ignore[union-attr]
        assets = ["/".join(key.path) for key in known]
        found = verdicts(outlook, assets)
        if unknown := sorted(outlook.graph.nodes.keys() - set(assets)):
            context.log.warning(
                f"the experiment has assets that this code location does not know, such as "
                f"{unknown[0]}: reload the code location"
            )
        fresh = news(context.instance, found)
        if not fresh:
            return dg.SkipReason(f"{grouped(found)}, as before")
        context.log.info(grouped(found))
        return dg.SensorResult(asset_events=fresh)

    return in_sync


def _status(*, is_on: bool) -> dg.DefaultSensorStatus:
    status = dg.DefaultSensorStatus
    return status.RUNNING if is_on else status.STOPPED


def _groups(assets: Sequence[str]) -> list[Sequence[str]]:
    return [assets[i : i + MOST_ASSETS] for i in range(0, len(assets), MOST_ASSETS)]
