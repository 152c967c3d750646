"""The tree of what a partition came from, shown with its materialization."""

from functools import cached_property

import dagster as dg

from recap_assets.defs.events import Account
from recap_assets.defs.lineage import as_json, copy_missing_events, described_by, storage_id
from recap_assets.defs.records import DagsterRecords
from recap_assets.graph.building import Built
from recap_assets.graph.node import Graph, Node
from recap_assets.graph.project import Project
from recap_assets.lineage.pins import receipts_of
from recap_assets.lineage.rows import Receipts
from recap_assets.lineage.words import preview


class Origins:
    """Trees of one node's partitions, for one step.

    The first partition's tree stands for those of the others: they were built in the same run by
    the same specs, code and models, and differ in the pool partition. A tree of each would cost as
    much as selecting the pairs.
    """

    def __init__(
        self,
        graph: Graph,
        project: Project,
        instance: dg.DagsterInstance,
        records: DagsterRecords,
        node: Node,
    ) -> None:
        self._graph = graph
        self._project = project
        self._instance = instance
        self._records = records
        self._node = node
        self._first: tuple[str, str] | None = None

    def prepare(self) -> None:
        """Copy what upstream recorded: an export reads the receipts of its mix when it is computed.

        Nothing is done for a node that shows no origin.
        """
        if self._node.shows_origin:
            _ = self._receipts

    def markdown(self, partition: str, built: Built, account: Account) -> str | None:
        """The tree in markdown; None for a node that shows none."""
        if not self._node.shows_origin:
            return None
        if self._first is None:
            row = {
                **described_by(built.record, account),
                "asset": self._node.key,
                "partition": partition,
                "instance": storage_id(self._instance),
                "input_events": as_json(dict(built.input_events)),
            }
            self._first = partition, preview(self._receipts, row)
        first, text = self._first
        if first == partition:
            return text
        return f"As of partition {first}, built in the same step.\n\n{text}"

    @cached_property
    def _receipts(self) -> Receipts:
        upstream = self._graph.ancestors([self._node.key])
        copy_missing_events(self._project, self._instance, self._records, upstream)
        return receipts_of(self._project.workspace, self._node.key)
