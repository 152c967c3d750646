"""Runs as OpenLineage has them: their names, and those that gave no result.

A failed build and the evaluation of checks have no receipt, so their events say no more than what
Dagster recorded: when, of which partitions, and why or with which verdicts.
"""

import uuid
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from recap_assets.graph.node import Graph
from recap_assets.lineage.observed import CheckResult, FailedBuild
from recap_assets.lineage.origin import Ancestor
from recap_assets.storage.workspace import Workspace
from recap_assets.untrusted.showing import one_line, safe_text

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

PRODUCER = f"urn:recap-assets:{metadata.version('recap-assets')}"
MESSAGE_CHARACTERS = 2_000


def namespace_of(workspace: Workspace) -> str:
    """The namespace of an experiment's jobs and data sets."""
    return f"recap/{workspace.name}"


def run_id_of(run_id: str, job: str) -> str:
    """Id of a job's run: one of Dagster builds several assets, each a job here."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{job}"))


def description_of(graph: Graph, asset: str) -> str:
    """What an asset is, in a sentence or two."""
    return graph.nodes[asset].description if asset in graph.nodes else f"{asset}, since removed."


def parent_facet(workspace: Workspace, run_id: str) -> dict[str, Any]:
    """Dagster's run, where its id is one that OpenLineage takes."""
    from openlineage.client.facet_v2 import parent_run

    try:
        uuid.UUID(run_id)
    except ValueError:
        return {}
    job = parent_run.Job(namespace_of(workspace), "dagster")
    return {"parent": parent_run.ParentRunFacet(run=parent_run.Run(run_id), job=job)}


def error_facet(failure: FailedBuild) -> dict[str, Any]:
    """Why a build failed, without secrets."""
    from openlineage.client.facet_v2 import error_message_run

    of = f"{failure.partitions}: " if failure.partitions else ""
    said = safe_text(f"{of}{failure.message}"[:MESSAGE_CHARACTERS])
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(said, "python")}


def failed_events(
    ancestor: Ancestor, graph: Graph, workspace: Workspace, failure: FailedBuild
) -> Iterator["RunEvent"]:
    """START and FAIL of a build that wrote nothing which the tree has."""
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunState

    namespace = namespace_of(workspace)
    for state, at, facets in (
        (RunState.START, failure.began, {}),
        (RunState.FAIL, failure.ended, error_facet(failure)),
    ):
        yield _event(
            workspace,
            (failure.run_id, ancestor.asset),
            description_of(graph, ancestor.asset),
            eventType=state,
            eventTime=at.isoformat(),
            run_facets=facets,
            inputs=[InputDataset(namespace, name) for name in sorted(ancestor.reads)],
            outputs=[OutputDataset(namespace, ancestor.asset)],
        )


def checked_events(
    ancestor: Ancestor, graph: Graph, workspace: Workspace, results: Sequence[CheckResult]
) -> Iterator["RunEvent"]:
    """START and COMPLETE of the checks of an asset, one run for each of Dagster's."""
    from openlineage.client.event_v2 import InputDataset, RunState
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    for run_id in dict.fromkeys(one.run_id for one in results):
        of_run = [one for one in results if one.run_id == run_id]
        facet = quality.DataQualityAssertionsDatasetFacet(list(map(_assertion, of_run)))
        checked: dict[str, Any] = {"dataQualityAssertions": facet}
        for state, at, facets in (
            (RunState.START, min(one.at for one in of_run), {}),
            (RunState.COMPLETE, max(one.at for one in of_run), checked),
        ):
            yield _event(
                workspace,
                (run_id, f"{ancestor.asset}/checks"),
                f"The checks of {ancestor.asset}. {description_of(graph, ancestor.asset)}",
                eventType=state,
                eventTime=at.isoformat(),
                inputs=[InputDataset(namespace_of(workspace), ancestor.asset, inputFacets=facets)],
                outputs=[],
            )


def _assertion(result: CheckResult) -> "quality.Assertion":
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    figures = ", ".join(f"{name} {value}" for name, value in sorted(result.figures.items()))
    return quality.Assertion(
        assertion="custom",
        success=result.passed,
        severity="error" if result.blocking else "warn",
        name=result.name,
        description=result.description,
        actual=one_line(figures) if figures else None,
    )


def _event(
    workspace: Workspace,
    run: tuple[str, str],
    description: str,
    *,
    run_facets: dict[str, Any] | None = None,
    **content: Any,  # noqa: ANN401 - of RunEvent
) -> "RunEvent":
    from openlineage.client.event_v2 import Job, Run, RunEvent
    from openlineage.client.facet_v2 import documentation_job, job_type_job

    run_id, job = run
    facets = {
        "documentation": documentation_job.DocumentationJobFacet(description),
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "RECAP", jobType="ASSET"),
    }
    return RunEvent(
        run=Run(run_id_of(run_id, job), {**parent_facet(workspace, run_id), **(run_facets or {})}),
        job=Job(namespace_of(workspace), job, facets),
        producer=PRODUCER,
        **content,
    )
