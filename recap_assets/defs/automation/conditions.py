"""The automation condition: true for what the planner calls ready.

Dagster's own conditions follow events and a cursor: they take a failed run for handled, lose edits
from before their first tick, and fire on identical versions. This one looks at state.
"""

import json
from collections.abc import Collection

import dagster as dg
from dagster._core.asset_graph_view.entity_subset import EntitySubset
from dagster._core.definitions.events import AssetKeyPartitionKey

from recap_assets.defs.automation.outlook import Outlook, Watch

Context = dg.AutomationContext[dg.AssetKey]
Result = dg.AutomationResult[dg.AssetKey]


def bring_up_to_date(watch: Watch, max_attempts: int) -> dg.AutomationCondition[dg.AssetKey]:
    """True for partitions that are out of date, can be built now, and are not being built."""
    return (
        OutOfDate(watch)
        & ~dg.AutomationCondition.in_progress()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & AttemptsLeft(watch, max_attempts)
    )


class OutOfDate(dg.AutomationCondition[dg.AssetKey]):
    """True for the partitions that the planner calls ready."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    @property
    def name(self) -> str:
        """Its name in the UI."""
        return "out_of_date"

    @property
    def description(self) -> str:
        """When it is true, in the UI."""
        return "Out of date by the planner, and all that it reads is up to date"

    @property
    def requires_cursor(self) -> bool:
        """It looks at state only."""
        return False

    def evaluate(self, context: Context) -> Result:
        """Look which partitions are ready."""
        ready = _outlook(self._watch, context).ready.get(_asset(context), {})
        known = _partitions(context.candidate_subset)
        return dg.AutomationResult(context, _subset(context, ready.keys() & known))


class AttemptsLeft(dg.AutomationCondition[dg.AssetKey]):
    """True until a partition was launched `max_attempts` times for one and the same fingerprint.

    A partition that keeps failing would be launched at every tick otherwise. The counts are this
    condition's cursor, which Dagster keeps over restarts; whatever changes the fingerprint, an edit
    or new content upstream, restarts the count. It must come last: it takes every candidate for
    launched.
    """

    def __init__(self, watch: Watch, max_attempts: int) -> None:
        self._watch = watch
        self._max_attempts = max_attempts

    @property
    def name(self) -> str:
        """Its name in the UI, and of its cursor: the number of attempts is not part of it."""
        return "attempts_left"

    @property
    def description(self) -> str:
        """When it is true, in the UI."""
        return f"Launched fewer than {self._max_attempts} times as it should be now"

    def evaluate(self, context: Context) -> Result:
        """Let through what has attempts left, and count them."""
        outlook, asset = _outlook(self._watch, context), _asset(context)
        ready = outlook.ready.get(asset, {})
        counts: dict[str, list[str | int]] = {
            partition: [wanted, n]
            for partition, (wanted, n) in json.loads(context.cursor or "{}").items()
            if partition in ready and wanted == outlook.wanted(asset, partition)
        }
        launched: set[str] = set()
        candidates = _partitions(context.candidate_subset)
        # What was in progress when the plan was made, and no more when that was asked, is built.
        done = outlook.built_since(asset) if candidates else set()
        for partition in candidates - done:
            count = counts.setdefault(partition, [outlook.wanted(asset, partition), 0])
            if int(count[1]) < self._max_attempts:
                count[1] = int(count[1]) + 1
                launched.add(partition)
            else:
                context.log.warning(
                    f"{asset}[{partition}] was launched {count[1]} times and is out of date still: "
                    "see its last run; what changes it, or a run by hand, restarts the count"
                )
        cursor = json.dumps(counts, separators=(",", ":")) if counts else None
        return dg.AutomationResult(context, _subset(context, launched), cursor=cursor)


def _outlook(watch: Watch, context: Context) -> Outlook:
    # A tick has one view of the asset graph, which all conditions of the tick share.
    view = context.asset_graph_view
    return watch.look(view.instance, moment=view)


def _asset(context: Context) -> str:
    return "/".join(context.key.path)


def _partitions(subset: EntitySubset[dg.AssetKey]) -> set[str]:
    """Partition keys; an empty one for an asset without partitions."""
    if subset.is_empty:
        return set()
    return set(subset.expensively_compute_partition_keys()) if subset.is_partitioned else {""}


def _subset(context: Context, partitions: Collection[str]) -> EntitySubset[dg.AssetKey]:
    key = context.key
    return context.asset_graph_view.get_asset_subset_from_asset_partitions(
        key, {AssetKeyPartitionKey(key, partition or None) for partition in partitions}
    )
