"""Failed builds and results of checks, as the instance's events record them."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import dagster as dg

from recap_assets.defs.assets import asset_key
from recap_assets.defs.ranges import RANGE_END, RANGE_START
from recap_assets.defs.run_failures import failure_in_words
from recap_assets.graph.node import Graph
from recap_assets.lineage.observed import CheckResult, FailedBuild, Observed

FAILED_RUNS = 100
"""Those that are looked at, the newest."""

PARTITION = "dagster/partition"
_STEPS = {
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
}


def observed(instance: dg.DagsterInstance, graph: Graph, assets: Collection[str]) -> Observed:
    """What is recorded of these assets."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    runs = instance.get_run_records(failed, limit=FAILED_RUNS)
    failures = [one for run in reversed(runs) for one in _failures(instance, run, assets)]
    return Observed(tuple(failures), tuple(_checks(instance, graph, assets)))


def _failures(
    instance: dg.DagsterInstance, record: dg.RunRecord, assets: Collection[str]
) -> Iterator[FailedBuild]:
    """The steps of a run that failed, or that ended with the process that ran them."""
    names = {asset_key(asset).to_python_identifier(): asset for asset in assets}
    run = record.dagster_run
    began: dict[str, float] = {}
    ended: dict[str, tuple[float, str]] = {}
    for entry in instance.all_logs(run.run_id, of_type=_STEPS):
        event, step = entry.get_dagster_event(), str(entry.step_key)
        if event.event_type == dg.DagsterEventType.STEP_START:
            began[step] = entry.timestamp
        elif event.event_type == dg.DagsterEventType.STEP_SUCCESS:
            began.pop(step, None)
        else:
            ended[step] = (entry.timestamp, failure_in_words(event.step_failure_data))
    last = record.end_time or record.update_timestamp.timestamp()
    for step in [one for one in began if one in names]:
        at, message = ended.get(step, (last, "the process that built it ended"))
        yield FailedBuild(
            names[step], run.run_id, _partitions(run), _time(began[step]), _time(at), message
        )


def _partitions(run: dg.DagsterRun) -> str:
    first, last = run.tags.get(RANGE_START), run.tags.get(RANGE_END)
    if first is None or first == last:
        return run.tags.get(PARTITION, first or "")
    return f"{first} to {last}"


def _checks(
    instance: dg.DagsterInstance, graph: Graph, assets: Collection[str]
) -> Iterator[CheckResult]:
    keys = {
        dg.AssetCheckKey(asset_key(asset), check.name): (asset, check)
        for asset in assets
        if asset in graph.nodes
        for check in graph.nodes[asset].checks
    }
    storage = instance.event_log_storage
    found = storage.get_latest_asset_check_execution_by_key(list(keys)) if keys else {}
    for key, record in found.items():
        asset, check = keys[key]
        if (evaluation := record.evaluation) is not None and hasattr(evaluation, "passed"):
            yield CheckResult(
                asset,
                check.name,
                check.description,
                evaluation.passed,
                check.blocking,
                record.run_id,
                _time(record.create_timestamp),
                {name: value.value for name, value in evaluation.metadata.items()},
            )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
