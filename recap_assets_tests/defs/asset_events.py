"""What was computed, by the materialization events of an instance."""

import dagster as dg

from recap_assets.defs.assets import asset_key
from recap_assets.graph.node import Graph

Done = set[tuple[str, str]]
"""Pairs of asset and partition."""


def newest_event(instance: dg.DagsterInstance) -> int:
    """The id of the event that was stored last."""
    return instance.event_log_storage.get_maximum_record_id() or 0


def computed_since(
    instance: dg.DagsterInstance, graph: Graph, event: int, *, reused: bool = False
) -> Done:
    """What was computed after an event; or what was found up to date by a run that looked at it."""
    found: Done = set()
    for asset in graph.nodes:
        records = dg.AssetRecordsFilter(asset_key(asset), after_storage_id=event)
        for record in instance.fetch_materializations(records, limit=10_000).records:
            materialization = record.asset_materialization
            assert materialization is not None
            if ("reused" in materialization.metadata) == reused:
                found.add((asset, materialization.partition or ""))
    return found
