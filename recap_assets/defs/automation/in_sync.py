"""The check `in_sync`: staleness and its cause, on every asset of the UI's graph.

Its verdict is that of the planner. A sensor reports it when it changed. A run reports that of
its own assets in one step at its end: Dagster wants a result of each check that a run includes, and
takes all checks of its assets in. One check of all assets costs a run one step, where a check in
each asset's own body would make a plan for each step.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from recap_assets.defs.assets import asset_key
from recap_assets.defs.automation.outlook import Outlook, Watch
from recap_assets.graph.node import Graph
from recap_assets.graph.planner import OutOfDate

IN_SYNC = "in_sync"
ASKS = "Compares every partition with the plan: what is out of date, and why."
"""What the check does; the UI shows it beside the verdict, so it must not be one."""
REASONS_SHOWN = 5
PARTITIONS_SHOWN = 10


@dataclass(frozen=True)
class Verdict:
    """How an asset stands.

    Attributes:
        n_partitions: Partitions that it has.
        stale: Those that are out of date, and those that it has no more and are to be removed.
    """

    n_partitions: int
    stale: tuple[OutOfDate, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is out of date."""
        return not self.stale

    @property
    def description(self) -> str:
        """In one line."""
        if self.passed:
            return "up to date"
        ((reason, _), *others) = self._reasons()
        reasons = "reason" if len(others) == 1 else "reasons"
        more = f", and {len(others)} more {reasons}" if others else ""
        return f"{self._counted()}: {reason}{more}"

    @property
    def metadata(self) -> dict[str, dg.MetadataValue]:
        """Counts, and the reasons with the first partitions that each of them concerns."""
        figures: dict[str, dg.MetadataValue] = {
            "out of date": dg.MetadataValue.int(self.n_stale),
            "partitions": dg.MetadataValue.int(self.n_partitions),
        }
        reasons = self._reasons()
        for i, (reason, entries) in enumerate(reasons[:REASONS_SHOWN], start=1):
            where = _listed([entry.partition for entry in entries])
            figures[f"reason {i}"] = dg.MetadataValue.text(reason + where)
        if len(reasons) > REASONS_SHOWN:
            left = sum(len(entries) for _, entries in reasons[REASONS_SHOWN:])
            text = f"{len(reasons) - REASONS_SHOWN} more, of {left} partitions"
            figures["other reasons"] = dg.MetadataValue.text(text)
        return figures

    @property
    def n_stale(self) -> int:
        """Partitions that are to be built."""
        return sum(entry.state != "leaving" for entry in self.stale)

    def _reasons(self) -> list[tuple[str, list[OutOfDate]]]:
        groups: dict[str, list[OutOfDate]] = {}
        for entry in self.stale:
            groups.setdefault(entry.reason, []).append(entry)
        return sorted(groups.items(), key=lambda group: -len(group[1]))

    def _counted(self) -> str:
        if not self.n_stale:
            return f"{len(self.stale)} to be removed"
        if self.stale[0].partition == "":
            return "it is out of date"
        return f"{self.n_stale} of {self.n_partitions} are out of date"


def _listed(partitions: Collection[str]) -> str:
    shown = [partition for partition in partitions if partition][:PARTITIONS_SHOWN]
    if not shown:
        return ""
    more = f" and {len(partitions) - len(shown)} more" if len(partitions) > len(shown) else ""
    return f" [{', '.join(shown)}{more}]"


def verdicts(outlook: Outlook, assets: Collection[str]) -> dict[str, Verdict]:
    """How each of the assets stands; those that the experiment has no more are left out."""
    nodes = outlook.graph.nodes
    stale: dict[str, list[OutOfDate]] = {}
    for entry in outlook.plan.entries:
        stale.setdefault(entry.asset, []).append(entry)
    return {
        asset: Verdict(len(outlook.graph.partitions(nodes[asset])), tuple(stale.get(asset, ())))
        for asset in assets
        if asset in nodes
    }


def in_sync_check(watch: Watch, graph: Graph) -> dg.AssetChecksDefinition:
    """The check on every asset, which a run evaluates for its own assets when it has built them."""
    specs = [
        dg.AssetCheckSpec(IN_SYNC, asset=asset_key(asset), description=ASKS)
        for asset in graph.nodes
    ]

    @dg.multi_asset_check(name=IN_SYNC, specs=specs, can_subset=True)
    def in_sync(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        outlook = watch.look(context.instance)
        wanted = {_name(check.asset_key) for check in context.selected_asset_check_keys}
        for asset, verdict in verdicts(outlook, wanted).items():
            yield dg.AssetCheckResult(
                asset_key=asset_key(asset),
                check_name=IN_SYNC,
                passed=verdict.passed,
                severity=dg.AssetCheckSeverity.WARN,
                description=verdict.description,
                metadata=verdict.metadata,
            )

    return in_sync


def news(
    instance: dg.DagsterInstance, found: Mapping[str, Verdict]
) -> list[dg.AssetCheckEvaluation]:
    """Evaluations of those verdicts that differ from what the UI shows now.

    An evaluation at every tick would make the event log grow for ever.
    """
    keys = {asset: dg.AssetCheckKey(asset_key(asset), IN_SYNC) for asset in found}
    built = _last_built(instance, found)
    shown = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys.values()))
    fresh: list[dg.AssetCheckEvaluation] = []
    for asset, verdict in found.items():
        record = shown.get(keys[asset])
        evaluation = None if record is None else record.evaluation
        if record is not None and record.status == AssetCheckExecutionRecordStatus.PLANNED:
            if _is_open(instance, record.run_id):
                continue
            evaluation = None
        last = built.get(asset)
        new = _evaluation(asset, verdict, last)
        is_shown = record is not None and _is_shown(record, last)
        if evaluation is None or not is_shown or _told(evaluation) != _told(new):
            fresh.append(new)
    return fresh


def _last_built(
    instance: dg.DagsterInstance, assets: Collection[str]
) -> dict[str, dg.EventLogRecord]:
    found = instance.get_asset_records([asset_key(asset) for asset in assets])
    last = {_name(row.asset_entry.asset_key): row.asset_entry for row in found}
    return {
        asset: entry.last_materialization_record
        for asset, entry in last.items()
        if entry.last_materialization_record is not None
    }


def _is_shown(record: AssetCheckExecutionRecord, built: dg.EventLogRecord | None) -> bool:
    """Whether the UI shows it: not one from before the last materialization."""
    if built is None or built.run_id == record.run_id:
        return True
    target = record.evaluation.target_materialization_data if record.evaluation else None
    return target is not None and target.storage_id == built.storage_id


def _evaluation(
    asset: str, verdict: Verdict, built: dg.EventLogRecord | None
) -> dg.AssetCheckEvaluation:
    # The UI shows it with the materialization that it names, and with no later one.
    target = built and AssetCheckEvaluationTargetMaterializationData(
        storage_id=built.storage_id, run_id=built.run_id, timestamp=built.timestamp
    )
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(asset),
        check_name=IN_SYNC,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=verdict.description,
        metadata=verdict.metadata,
        target_materialization_data=target,
    )


def _told(evaluation: dg.AssetCheckEvaluation) -> tuple[object, ...]:
    return (evaluation.passed, evaluation.description, dict(evaluation.metadata))


def _is_open(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run that will evaluate the check is under way: it would overwrite this report."""
    run = instance.get_run_by_id(run_id)
    return run is not None and not run.is_finished


def _name(key: dg.AssetKey) -> str:
    return "/".join(key.path)


def grouped(found: Mapping[str, Verdict]) -> str:
    """How many assets are out of date, for a tick's log."""
    counts = Counter(verdict.passed for verdict in found.values())
    return f"{counts[False]} of {len(found)} assets are out of date"
