"""An origin as OpenLineage events, sent by OpenLineage's own client.

Where to is the client's business: OPENLINEAGE_URL, OPENLINEAGE_CONFIG or openlineage.yml name an
HTTP endpoint, a file, the console, Kafka and so on.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from recap_assets.artefacts.catalogue import all_tables
from recap_assets.artefacts.column_origins import ORIGINS
from recap_assets.graph.node import Graph
from recap_assets.lineage.observed import NOTHING, FailedBuild, Observed
from recap_assets.lineage.open_lineage_runs import (
    PRODUCER,
    checked_events,
    description_of,
    error_facet,
    failed_events,
    namespace_of,
    parent_facet,
    run_id_of,
)
from recap_assets.lineage.origin import Ancestor, Origin, combined_version
from recap_assets.lineage.rows import Receipt
from recap_assets.lineage.words import flattened
from recap_assets.specs.requirements import pip_install
from recap_assets.storage.workspace import Workspace
from recap_assets.untrusted.errors import RecapError

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent, RunState

SOURCE = "urn:recap-assets:source"
"""Stands where the code has no address of its own; the commit says which code it was."""


class ExtraMissingError(RecapError, RuntimeError):
    """An optional library is not installed; the text says how to install it."""


def emit(origin: Origin, graph: Graph, workspace: Workspace, observed: Observed = NOTHING) -> int:
    """Send events for each run and asset of the tree; the number of events.

    Raises:
        ExtraMissingError: The client is not installed.
    """
    try:
        from openlineage.client import OpenLineageClient
    except ImportError as error:
        how = pip_install("recap-assets[openlineage]")
        msg = f"OpenLineage's client is not installed; run `{how}`"
        raise ExtraMissingError(msg) from error
    client = OpenLineageClient()
    n_events = 0
    for event in events_of(origin, graph, workspace, observed):
        client.emit(event)
        n_events += 1
    client.close()
    return n_events


def events_of(
    origin: Origin, graph: Graph, workspace: Workspace, observed: Observed = NOTHING
) -> Iterator["RunEvent"]:
    """START and COMPLETE of each run and asset, or FAIL; what was read before what read it.

    Checks are jobs of their own, `ASSET/checks`, which read the asset: a result as OpenLineage has
    it is a facet of an input.

    Args:
        origin: The tree.
        graph: What there is now.
        workspace: The experiment's.
        observed: Failed builds and results of checks, of whatever assets.
    """
    from openlineage.client.event_v2 import RunState, set_producer

    set_producer(PRODUCER)
    for ancestor in reversed(list(origin.ancestors.values())):
        name = ancestor.asset
        failures = {one.run_id: one for one in observed.failures if one.asset == name}
        for rows in ancestor.rows.partition_by("run_id", maintain_order=True):
            ordered = rows.sort("event_id")
            # A run that wrote some partitions and failed at another has one end.
            failed = failures.pop(ordered["run_id"][0], None)
            yield _event(origin, graph, workspace, ancestor, ordered, RunState.START)
            end = RunState.COMPLETE if failed is None else RunState.FAIL
            yield _event(origin, graph, workspace, ancestor, ordered, end, failed)
        for failure in failures.values():
            yield from failed_events(ancestor, graph, workspace, failure)
        if results := [one for one in observed.checks if one.asset == name]:
            yield from checked_events(ancestor, graph, workspace, results)


def _event(
    origin: Origin,
    graph: Graph,
    workspace: Workspace,
    ancestor: Ancestor,
    rows: pl.DataFrame,
    state: "RunState",
    failed: FailedBuild | None = None,
) -> "RunEvent":
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

    first = Receipt.parse(rows.row(0, named=True))
    newest = Receipt.parse(rows.row(-1, named=True))
    # A receipt has the time at its end; what was reused or taken over began then, too.
    began = first.built_at - timedelta(seconds=0 if first.reused else first.seconds)
    ended = newest.built_at if failed is None else failed.ended
    at = began if state == RunState.START else ended
    error = {} if failed is None else error_facet(failed)
    return RunEvent(
        eventType=state,
        eventTime=at.isoformat(),
        run=Run(run_id_of(newest.run_id, ancestor.asset),
                {**_run_facets(workspace, newest), **error}),
        job=Job(namespace_of(workspace), ancestor.asset, _job_facets(graph, newest)),
        inputs=[
            _input(workspace, graph, origin.ancestors[name])
            for name in ancestor.reads
            if name in origin.ancestors
        ],
        outputs=[_output(workspace, graph, ancestor, rows)],
        producer=PRODUCER,
    )  # fmt: skip


def _run_facets(workspace: Workspace, receipt: Receipt) -> dict[str, Any]:
    from openlineage.client.facet_v2 import execution_parameters_run, processing_engine_run

    facets: dict[str, Any] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=receipt.provenance.get("recap.dagster", "unknown"), name="dagster"
        ),
        "executionParameters": execution_parameters_run.ExecutionParametersRunFacet(
            [
                execution_parameters_run.ExecutionParameter(key=name, name=name, value=value)
                for name, value in sorted(receipt.provenance.items())
            ]
        ),
    }
    facets |= parent_facet(workspace, receipt.run_id)
    return facets


def _job_facets(graph: Graph, receipt: Receipt) -> dict[str, Any]:
    from openlineage.client.facet_v2 import (
        documentation_job,
        job_type_job,
        source_code_job,
        source_code_location_job,
    )

    return {
        "documentation": documentation_job.DocumentationJobFacet(
            description_of(graph, receipt.asset)
        ),
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "RECAP", jobType="ASSET"),
        "sourceCodeLocation": source_code_location_job.SourceCodeLocationJobFacet(
            "git", SOURCE, version=receipt.provenance.get("recap.commit", "unknown")
        ),
        # What decides the content, beside the code: the specs as they were.
        "sourceCode": source_code_job.SourceCodeJobFacet(
            "json", json.dumps(flattened(json.loads(receipt.decides)), indent=1)
        ),
    }


def _dataset_facets(
    workspace: Workspace, graph: Graph, asset: str, version: str, tables: Mapping[str, object]
) -> dict[str, Any]:
    from openlineage.client.facet_v2 import (
        dataset_version_dataset,
        documentation_dataset,
        schema_dataset,
        symlinks_dataset,
    )

    facets: dict[str, Any] = {
        "documentation": documentation_dataset.DocumentationDatasetFacet(
            description_of(graph, asset)
        ),
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(version),
    }
    described = all_tables()
    known = [described[name] for name in tables if name in described]
    if known:
        facets["schema"] = schema_dataset.SchemaDatasetFacet(
            [
                schema_dataset.SchemaDatasetFacetFields(
                    name, str(known[0].schema[name]), column.meaning, place
                )
                for place, (name, column) in enumerate(known[0].columns.items(), start=1)
            ]
        )
        facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet(
            [
                symlinks_dataset.Identifier("file", workspace.tables.uri(table), "TABLE")
                for table in known
            ]
        )
    return facets


def _input(workspace: Workspace, graph: Graph, ancestor: Ancestor) -> "InputDataset":
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import data_quality_metrics_input_dataset as quality

    tables = ancestor.states[0].table_versions
    return InputDataset(
        namespace_of(workspace),
        ancestor.asset,
        facets=_dataset_facets(workspace, graph, ancestor.asset, ancestor.version, tables),
        inputFacets={
            "dataQualityMetrics": quality.DataQualityMetricsInputDatasetFacet(
                columnMetrics={}, rowCount=int(ancestor.rows["n_rows"].sum())
            )
        },
    )


def _column_lineage(workspace: Workspace, ancestor: Ancestor) -> dict[str, Any]:
    """Which columns of what it read each column is made of, where that holds for every kind."""
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage

    fields = {
        column: lineage.Fields(
            [
                lineage.InputField(namespace_of(workspace), read, name)
                for table, names in origins
                for read in sorted(ancestor.reads)
                if _table_of(read) == table.name
                for name in names
            ]
        )
        for column, origins in ORIGINS.get(_table_of(ancestor.asset), {}).items()
    }
    found = {column: made_of for column, made_of in fields.items() if made_of.inputFields}
    return {"columnLineage": lineage.ColumnLineageDatasetFacet(found)} if found else {}


def _table_of(asset: str) -> str:
    return asset.partition("/")[0]


def _output(
    workspace: Workspace, graph: Graph, ancestor: Ancestor, rows: pl.DataFrame
) -> "OutputDataset":
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    tables = json.loads(rows["table_versions"][-1])
    version = combined_version(rows)
    return OutputDataset(
        namespace_of(workspace),
        ancestor.asset,
        facets={
            **_dataset_facets(workspace, graph, ancestor.asset, version, tables),
            **_column_lineage(workspace, ancestor),
        },
        outputFacets={
            "outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(
                rowCount=int(rows["n_rows"].sum()), size=int(rows["n_bytes"].sum())
            )
        },
    )
