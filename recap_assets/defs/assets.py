"""Dagster assets made from the graph: one factory, one body."""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from pathlib import Path

import dagster as dg

from recap_assets.defs.alike import alone_among_alike
from recap_assets.defs.code_references import code_references
from recap_assets.defs.dead_runs import is_of_a_build, sign
from recap_assets.defs.events import (
    NO_AUTOMATIC_EVENTS,
    account_of,
    materialization,
    result_of,
)
from recap_assets.defs.lineage import copy_events_of_run, keep_experiment
from recap_assets.defs.links import links_of
from recap_assets.defs.metering import meter_of, settle
from recap_assets.defs.observations import Observations
from recap_assets.defs.origins import Origins
from recap_assets.defs.records import DagsterRecords, newest_event
from recap_assets.defs.remembering import skip_input_versions
from recap_assets.defs.remote.chosen import ChosenWorkers
from recap_assets.defs.run_results import tag_results
from recap_assets.defs.table_metadata import Metadata, described, place_of
from recap_assets.graph.building import Built, build_partition
from recap_assets.graph.checks import Check
from recap_assets.graph.former import TAKEN_OVER
from recap_assets.graph.node import Dependency, Graph, Node, Progress
from recap_assets.graph.planner import name_of
from recap_assets.graph.project import Project
from recap_assets.storage.store_errors import in_words_of_store
from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.raising import clean_errors

# Backfill policies are beta in Dagster 1.13; a test holds what is used of them.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

OWNERS = ("team:recap",)
"""Whose assets are where the experiment names nobody."""
STAGE_TAG = "recap/stage"
POOL_PARTITIONS = "pool"
FORCE_TAG = "recap/force"
REUSE_TAG = "recap/reuse"
"""Of a run: `false` computes what is out of date whatever was computed before."""

pool_partitions = dg.DynamicPartitionsDefinition(name=POOL_PARTITIONS)


def assets_of(
    graph: Graph, project: Project, *, in_pools: bool = True, file: Path | None = None
) -> list[dg.AssetsDefinition]:
    """One asset for each node of the graph.

    Args:
        graph: The nodes.
        project: The experiment and its workspace, where claims and lineage are.
        in_pools: Whether a step takes a place in its concurrency pool.
        file: The experiment file, which the UI links to.
    """
    skip_input_versions()
    several = project.experiment.automation.partitions_per_run
    policy = dg.BackfillPolicy.multi_run(max_partitions_per_run=several)
    workers = ChosenWorkers(project)
    return [
        _asset(graph, project, node, policy, workers, in_pools=in_pools, file=file)
        for node in graph.nodes.values()
    ]


def asset_key(name: str) -> dg.AssetKey:
    """The asset key of a node: its parts are separated by slashes."""
    return dg.AssetKey(name.split("/"))


def group_of(node: Node) -> str:
    """The group that the UI draws the asset in: its key without the last part, or its stage.

    Of a key the UI's graph shows the last part alone, so the rest must be around it.
    """
    *leading, _ = node.key.split("/")
    return re.sub(r"\W", "_", "_".join(leading), flags=re.ASCII) or node.stage


def _asset(
    graph: Graph,
    project: Project,
    node: Node,
    policy: dg.BackfillPolicy,
    workers: ChosenWorkers,
    *,
    in_pools: bool,
    file: Path | None,
) -> dg.AssetsDefinition:
    shown = {**described(project, node), **links_of(node)}

    @dg.asset(
        key=asset_key(node.key),
        deps=[_dep(graph, node, dependency) for dependency in node.dependencies],
        partitions_def=partitions_of(graph, node),
        backfill_policy=None if node.dimension == "none" else policy,
        code_version=node.code_version,
        description=node.description,
        group_name=group_of(node),
        kinds=set(node.kinds),
        tags={STAGE_TAG: node.stage},
        owners=project.experiment.owners or OWNERS,
        pool=node.pool if in_pools else None,
        retry_policy=dg.RetryPolicy(max_retries=1, delay=2, backoff=dg.Backoff.EXPONENTIAL),
        check_specs=[_check_spec(node, check) for check in node.checks],
        metadata={
            "spec": dg.MetadataValue.json(node.decides_value),
            **shown,
            **code_references(node, file),
        },
    )
    def body(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        # A run over partitions may hold assets that have none.
        partitions = ("",) if node.dimension == "none" else context.partition_keys
        _build_all(context, graph, project, node, partitions, shown, workers)
        yield dg.MaterializeResult(
            metadata=NO_AUTOMATIC_EVENTS,
            check_results=[_check(check, partitions) for check in node.checks],
        )

    return body


def _build_all(
    context: dg.AssetExecutionContext,
    graph: Graph,
    project: Project,
    node: Node,
    partitions: Sequence[str],
    shown: Metadata,
    workers: ChosenWorkers,
) -> None:
    """Build a step's partitions; lineage and account are kept also where one fails."""
    sign(context.instance, context.run)
    before = newest_event(context.instance)
    results: Counter[str] = Counter()
    try:
        with _failures_in_words():
            records = _records(context.instance)
            origins = Origins(graph, project, context.instance, records, node)
            with clean_errors():  # Dagster keeps what they say
                for partition in partitions:
                    built = _build(
                        context, graph, project, node, partition, origins, shown, workers
                    )
                    results[result_of(built)] += 1
    finally:
        if not is_of_a_build(context.run):
            keep_lineage(context, project, before)
            tag_results(context.instance, context.run, results)


@contextmanager
def _failures_in_words() -> Iterator[None]:
    """Make a failure of a step of what has words of its own."""
    try:
        yield
    except RecapError as error:
        # The text is all that helps: no stack, and no second try of what cannot go well.
        raise dg.Failure(str(error), allow_retries=error.may_pass) from None
    except OSError as error:
        if (words := in_words_of_store(error)) is None:
            raise
        raise dg.Failure(words) from None


def keep_lineage(context: dg.AssetExecutionContext, project: Project, before: int) -> None:
    """Copy the step's events, those after an event number, into the lineage."""
    keep_experiment(project)
    key, run_id = context.asset_key, context.run.run_id
    copy_events_of_run(project, context.instance, key, run_id, before)


def _build(
    context: dg.AssetExecutionContext,
    graph: Graph,
    project: Project,
    node: Node,
    partition: str,
    origins: Origins,
    shown: Metadata,
    workers: ChosenWorkers,
) -> Built:
    name = name_of(node.key, partition)

    def waits(holder: str) -> None:
        context.log.info(f"{name} is being built elsewhere ({holder}): waiting for it")

    records, run = _records(context.instance), context.run
    known = context.instance, records
    # The event is logged before the claims are let go, so that whoever waited finds it.
    with (
        project.workspace.claims.hold(name, waits, run.run_id) as interrupted,
        alone_among_alike(project, graph, node, partition, run.run_id, known, waits),
    ):
        records.look([node.key, *(dependency.asset for dependency in node.dependencies)])
        origins.prepare()
        meter = meter_of(run, project, node)
        built = build_partition(
            graph,
            records,
            node,
            partition,
            force=run.tags.get(FORCE_TAG) == "true",
            reuses=run.tags.get(REUSE_TAG) != "false",
            interrupted=interrupted,
            progress=_progress_for(node, partition),
            observe=Observations(context, node, partition),
            waits=lambda reason: context.log.info(f"{name}: {reason}"),
            workers=workers.of(context.instance),
        )
        settle(meter, project, node, built)
        context.log_event(_event_of(context, project, node, partition, built, origins, shown))
    context.log.info(f"{name} {_how(built)}: {built.outcome.n_rows} rows")
    return built


def _event_of(
    context: dg.AssetExecutionContext,
    project: Project,
    node: Node,
    partition: str,
    built: Built,
    origins: Origins,
    shown: Metadata,
) -> dg.AssetMaterialization:
    before = _records(context.instance).event(node.key, partition)
    account = account_of(node, built, before.account if before else None)
    return materialization(
        context.asset_key, partition, built, account, project.experiment.version,
        origins.markdown(partition, built, account), {**shown, **place_of(node, partition)},
    )  # fmt: skip


def _how(built: Built) -> str:
    if built.reused:
        return "reused"
    taken = built.outcome.facts.get(TAKEN_OVER)
    return f"taken over from {taken}" if taken else f"built in {built.record.seconds:.1f} s"


@lru_cache(maxsize=4)
def _records(instance: dg.DagsterInstance) -> DagsterRecords:
    return DagsterRecords(instance)


progress_listener: ContextVar[Callable[[str, str, float], None] | None] = ContextVar(
    "progress_listener", default=None
)
"""Told the asset, the partition and its done fraction; set by whoever shows progress."""


def _progress_for(node: Node, partition: str) -> Progress:
    listener = progress_listener.get()
    if listener is None:
        return lambda _done: None
    return partial(listener, node.key, partition)


def _dep(graph: Graph, node: Node, dependency: Dependency) -> dg.AssetDep:
    upstream = graph.nodes[dependency.asset]
    whole = dependency.partitions == "all" and upstream.dimension != "none"
    mapping = dg.AllPartitionMapping() if whole and node.dimension != "none" else None
    return dg.AssetDep(asset_key(dependency.asset), partition_mapping=mapping)


def partitions_of(graph: Graph, node: Node) -> dg.PartitionsDefinition | None:
    """Dagster's partitions of a node; None where it has none."""
    if node.dimension == "pool":
        return pool_partitions
    if node.dimension == "seed":
        return dg.StaticPartitionsDefinition(list(graph.partitions(node)))
    return None


def _check_spec(node: Node, check: Check) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        check.name,
        asset=asset_key(node.key),
        description=check.description,
        blocking=check.blocking,
    )


def _check(check: Check, partitions: Sequence[str]) -> dg.AssetCheckResult:
    verdict = check.evaluate(partitions)
    severity = dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        passed=verdict.passed,
        check_name=check.name,
        severity=severity,
        metadata=dict(verdict.figures),
    )
