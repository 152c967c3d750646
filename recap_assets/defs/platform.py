"""All of Dagster's definitions for one experiment."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from recap_assets.defs.assets import asset_key, assets_of, pool_partitions
from recap_assets.defs.automation import schedules_of, sensors_of
from recap_assets.defs.session import Session
from recap_assets.orchestration.graph import Graph, Node


def definitions_of(session: Session) -> dg.Definitions:
    """Assets from the graph, a job for each stage, and what starts them."""
    jobs = stage_jobs(session.graph)
    return dg.Definitions(
        assets=assets_of(session.graph),
        jobs=list(jobs.values()),
        schedules=schedules_of(session, jobs),
        sensors=sensors_of(session),
    )


def stage_jobs(graph: Graph) -> dict[str, UnresolvedAssetJobDefinition]:
    """A job for the assets of each stage, one for each kind of partitions that they have."""
    members: dict[str, list[Node]] = {}
    for node in graph.nodes.values():
        members.setdefault(_job_name(graph, node), []).append(node)
    return {
        name: dg.define_asset_job(
            name,
            selection=[asset_key(node.key) for node in nodes],
            partitions_def=pool_partitions if nodes[0].dimension == "pool" else None,
            description=f"Everything of the stage {nodes[0].stage}.",
        )
        for name, nodes in members.items()
    }


def _job_name(graph: Graph, node: Node) -> str:
    dimensions = {other.dimension for other in graph.nodes.values() if other.stage == node.stage}
    return node.stage if len(dimensions) == 1 else f"{node.stage}_{node.dimension}"
