"""What a run took over and computed, by its events."""

from collections import Counter

import dagster as dg

from recap_assets.graph.former import TAKEN_OVER
from recap_assets.graph.reuse import COMPUTED, REUSED, REUSED_FROM


def taken_over(result: dg.ExecuteInProcessResult) -> set[tuple[str, str]]:
    """Asset and partition of results that had been computed before."""
    events = (event.materialization for event in result.get_asset_materialization_events())
    return {
        (event.asset_key.to_user_string(), event.partition or "")
        for event in events
        if TAKEN_OVER in event.metadata
    }


def rows_of(result: dg.ExecuteInProcessResult) -> dict[str, Counter[str]]:
    """How many rows of each asset were computed and reused, and from where."""
    found: dict[str, Counter[str]] = {}
    for event in result.get_asset_materialization_events():
        metadata = event.materialization.metadata
        names = [n for n in metadata if n in {COMPUTED, REUSED} or n.startswith(REUSED_FROM)]
        counts = {name: int(str(metadata[name].value)) for name in names}
        if counts and event.asset_key is not None:
            found.setdefault(event.asset_key.to_user_string(), Counter()).update(counts)
    return found
