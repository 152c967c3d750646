"""Figures of a step that is at work, as observations in the UI: a plot of each over time."""

import time
from collections.abc import Mapping

import dagster as dg

from recap_assets.graph.node import Node

EVERY_SECONDS = 30.0


class Observations:
    """Logs figures of one partition, at most one event in `EVERY_SECONDS`.

    Args:
        context: The step's.
        node: What is computed.
        partition: Which partition of it.
    """

    def __init__(self, context: dg.AssetExecutionContext, node: Node, partition: str) -> None:
        self._context = context
        self._key = dg.AssetKey(node.key.split("/"))
        self._partition = partition or None
        self._next = 0.0

    def __call__(self, figures: Mapping[str, float]) -> None:
        """Log the figures, unless others were logged just now."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_SECONDS
        self._context.log_event(
            dg.AssetObservation(self._key, partition=self._partition, metadata=dict(figures))
        )
