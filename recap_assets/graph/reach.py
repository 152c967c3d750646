"""How far some assets can be brought up to date without touching any other."""

from collections.abc import Collection

from recap_assets.graph.node import Dependency, Graph, Node
from recap_assets.graph.planner import OutOfDate, Plan


def within(graph: Graph, plan: Plan, assets: Collection[str]) -> list[OutOfDate]:
    """What of `assets` is ready, or waits only for what is in the answer itself; upstream first."""
    stale: dict[str, set[str]] = {}
    for entry in plan.to_build:
        stale.setdefault(entry.asset, set()).add(entry.partition)
    chosen: dict[str, set[str]] = {}
    found: list[OutOfDate] = []

    def waits_for_others(node: Node, partition: str, dependency: Dependency) -> bool:
        left = stale.get(dependency.asset, set())
        taken = chosen.get(dependency.asset, set())
        if graph.reads_same(node, dependency):
            return partition in left and partition not in taken
        return len(left) > len(taken)

    for entry in plan.to_build:
        node = graph.nodes.get(entry.asset)
        if node is None or entry.asset not in assets:
            continue
        if not any(waits_for_others(node, entry.partition, dep) for dep in node.dependencies):
            chosen.setdefault(entry.asset, set()).add(entry.partition)
            found.append(entry)
    return found
