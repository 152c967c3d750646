"""How many rows a build would compute of what is out of date; no model is asked."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType

from recap_assets.graph.building import reuse_of
from recap_assets.graph.kept_rows import UNREADABLE
from recap_assets.graph.node import Graph, Node, Step
from recap_assets.graph.planner import OutOfDate
from recap_assets.graph.records import MISSING, Records
from recap_assets.graph.reuse import Counted, Counts
from recap_assets.graph.taking_over import TakenOver
from recap_assets.graph.versions import VersionReader

MOST_COUNTED = 1_000_000
"""Rows of all partitions that are counted in one plan: they take three seconds."""


def _is_counted(node: Node) -> bool:
    return node.rows is not None and not node.rows.is_outside_hashed


def count_rows(
    graph: Graph,
    records: Records,
    entries: Iterable[OutOfDate],
    taken: Mapping[tuple[str, str], TakenOver] = MappingProxyType({}),
) -> Mapping[tuple[str, str], Counts]:
    """The rows of partitions that can be built now, by (asset, partition).

    A partition that waits for others is left out, and so are those after `MOST_COUNTED` rows. What
    another class of device computed counts as reused: which one will compute, no plan knows.

    Args:
        graph: The nodes.
        records: What was built.
        entries: What is out of date.
        taken: What is taken over as a whole.
    """
    reader, found, n_rows = VersionReader(graph, records), {}, 0
    for entry in entries:
        node = graph.nodes.get(entry.asset)
        if entry.state != "ready" or node is None or not _is_counted(node):
            continue
        reading = reader.reading(node, entry.partition)
        if MISSING in reading.whole.versions or n_rows >= MOST_COUNTED:
            continue
        reuse = reuse_of(node, entry.partition, reading.whole, graph.formers, only_counts=True)
        whole = taken.get((entry.asset, entry.partition))
        counts = None if whole is None or whole.n_rows is None else Counts(0, whole.n_rows)
        step = Step(entry.partition, asset=node.key, reuse=reuse)
        # A plan is made though tables cannot be read; the build says what is wrong with them.
        with suppress(*UNREADABLE):
            try:
                if counts is None:
                    node.compute(step)
            except Counted as counted:
                counts = counted.counts
        if counts is not None:
            found[entry.asset, entry.partition] = counts
            n_rows += counts.computed + counts.reused
    return found
