"""What several assets would compute alike: the first that begins does, and the others take it over.

Two mixes may hold the same pairs, and so be one training under two names. A build or a daemon that
has room for both would begin both at once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from recap_assets.defs.lineage import copy_missing_events
from recap_assets.defs.records import DagsterRecords
from recap_assets.graph.node import Graph, Node
from recap_assets.graph.project import Project
from recap_assets.graph.versions import VersionReader

ANY = "*"


@contextmanager
def alone_among_alike(
    project: Project,
    graph: Graph,
    node: Node,
    partition: str,
    run: str,
    records: tuple[dg.DagsterInstance, DagsterRecords],
    waits: Callable[[str], None],
) -> Iterator[None]:
    """Hold what assets of other names would compute of the same, and have their receipts.

    Args:
        project: The experiment.
        graph: All nodes.
        node: The asset that is built.
        partition: Its partition.
        run: Id of Dagster's run, for whoever waits.
        records: The instance, and what it records.
        waits: Called with the holder, where another asset of the kind is computing the same.
    """
    others = [key for key in graph.nodes if _is_alike(key, node.key)] if node.any_name else []
    if not others:
        yield
        return
    instance, known = records
    known.look(dependency.asset for dependency in node.dependencies)
    stage, _, name = node.key.rpartition("/")
    read = VersionReader(graph, known).reading(node, partition).read.renamed(name, ANY)
    what = f"{stage}/{ANY} {read.fingerprint(node.code_version)}[{partition}]"
    with project.workspace.claims.hold(what, waits, run):
        # Builds copy what their workers made only now and then.
        copy_missing_events(project, instance, known, others)
        yield


def _is_alike(key: str, other: str) -> bool:
    return key != other and key.rpartition("/")[0] == other.rpartition("/")[0]
