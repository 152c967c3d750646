"""What of a plan will be taken over and not computed, as far as that is known beforehand."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType

from recap_assets.graph.building import formers_of
from recap_assets.graph.former import Former
from recap_assets.graph.kept_rows import UNREADABLE
from recap_assets.graph.node import Graph, Node, TakesOver
from recap_assets.graph.planner import OutOfDate
from recap_assets.graph.records import MISSING, NO_VERSIONS, Implementation, Record, Records
from recap_assets.graph.versions import Reading, VersionReader
from recap_assets.untrusted.errors import RecapError

MOST_SEARCHED = 1_000
"""Partitions of what is computed row by row, which may be thousands, that a plan searches."""

ANY = "*"
"""Stands for the name of an asset whose name decides nothing."""

Key = tuple[str, str]
"""Asset and partition."""


@dataclass(frozen=True)
class TakenOver:
    """A result that a build takes over.

    Attributes:
        whose: What has it, for people.
        n_rows: Its rows; None where that will be known when the other is computed.
    """

    whose: str
    n_rows: int | None = None


@dataclass(frozen=True)
class TakingOver:
    """What is known of a plan.

    Attributes:
        known: What will be taken over, by asset and partition.
        possible: What may be, by what has such a result: if what is read comes out as that one's.
    """

    known: Mapping[Key, TakenOver] = field(default_factory=dict[Key, TakenOver])
    possible: Mapping[Key, str] = field(default_factory=dict[Key, str])

    @property
    def there(self) -> "TakingOver":
        """Without what the same build has to compute first."""
        there = {key: one for key, one in self.known.items() if one.n_rows is not None}
        return TakingOver(there, self.possible)


NOTHING = TakingOver(MappingProxyType({}), MappingProxyType({}))


def taking_over(
    graph: Graph, records: Records, entries: Iterable[OutOfDate], *, most: int = MOST_SEARCHED
) -> TakingOver:
    """What a build of a plan takes over, where it takes over anything.

    Known is what of a partition can be built now, or reads nothing that is out of date but what is
    taken over itself. Of several that compute the same the first counts as computed. Nothing is
    hashed, so a damaged result is computed all the same.

    Args:
        graph: The nodes.
        records: What was built.
        entries: What is out of date, upstream first.
        most: Partitions of what is computed row by row that are searched; of the rest nothing is
            known.
    """
    search = _Search(graph, records, tuple(entries), most)
    for entry in search.entries:
        search.look(entry)
    return TakingOver(search.known, search.possible)


class _Search:
    """Looks at partition after partition, each after what it reads.

    It serves as the records, with what is expected of those that were looked at.
    """

    def __init__(
        self, graph: Graph, records: Records, entries: tuple[OutOfDate, ...], most: int
    ) -> None:
        self.entries = tuple(one for one in entries if one.state != "leaving")
        self.known: dict[Key, TakenOver] = {}
        self.possible: dict[Key, str] = {}
        self._graph, self._records = graph, records
        self._to_build = {(one.asset, one.partition) for one in self.entries}
        left = (one.asset for one in entries if one.state == "leaving")
        self._assets = tuple(dict.fromkeys([*graph.nodes, *left]))
        self._expected: dict[str, dict[str, Record]] = {}
        self._unknown: dict[str, set[str]] = {}
        self._first: dict[tuple[str, str, str], str] = {}
        self._left = most
        self._reader = VersionReader(graph, self)

    def latest(self, asset: str) -> Mapping[str, Record]:
        """The last record of each partition, or what is expected of it."""
        return {**self._records.latest(asset), **self._expected.get(asset, {})}

    def implementation(self, asset: str, record: Record) -> Implementation | None:
        """What the code version of a record stood for."""
        return self._records.implementation(asset, record)

    def facts(self, asset: str, data_version: str) -> Mapping[str, str | float]:
        """Facts of an asset without partitions when it had this data version."""
        return self._records.facts(asset, data_version)

    def look(self, entry: OutOfDate) -> None:
        """Find out whether a partition will be taken over, and what it then holds."""
        node, version = self._graph.nodes[entry.asset], None
        is_settled = entry.state == "ready" or self._is_settled(node, entry.partition)
        if node.is_worth_keeping and isinstance(node.content, TakesOver):
            # A plan is made though something cannot be read; the build says what is wrong.
            with suppress(RecapError, *UNREADABLE):
                version = self._version(node, entry.partition, is_settled=is_settled)
        if version is None or not is_settled:
            self._unknown.setdefault(entry.asset, set()).add(entry.partition)
        # Whoever reads it reads the same, whatever it comes to.
        record = Record(version or f"not known of {entry.name}", node.code_version, NO_VERSIONS)
        self._expected.setdefault(entry.asset, {})[entry.partition] = record

    def _is_settled(self, node: Node, partition: str) -> bool:
        """Whether the version of all that a partition reads is known or expected."""
        for dep in node.dependencies:
            unknown, expected = (of.get(dep.asset, ()) for of in (self._unknown, self._expected))
            if self._graph.reads_same(node, dep):
                unknown = unknown if partition in unknown else ()
                expected = expected if partition in expected else ()
            # Of a facet of what is taken over no version is known.
            if unknown or (expected and (dep.facets or dep.by)):
                return False
        return True

    def _version(self, node: Node, partition: str, *, is_settled: bool) -> str | None:
        """The data version that a partition will have; None where only computing it will show."""
        if not (is_settled or node.any_name) or not self._may_search(node):
            return None
        reading = self._reader.reading(node, partition)
        if MISSING in reading.whole.versions:
            return None
        prints = reading.fingerprints(node.code_version)
        for find in (self._recorded, self._former) if is_settled else ():
            if (found := find(node, partition, prints)) is not None:
                self.known[node.key, partition], version = found
                return version
        if not node.any_name:
            return None
        version = self._computed_once(node, partition, reading)
        is_known = is_settled or (node.key, partition) in self.known
        if not is_known and (whose := self._of_equal_code(node, partition)):
            self.possible[node.key, partition] = whose
        return version

    def _may_search(self, node: Node) -> bool:
        self._left -= node.has_many
        return not node.has_many or self._left >= 0

    def _recorded(
        self, node: Node, partition: str, prints: tuple[str, ...]
    ) -> tuple[TakenOver, str] | None:
        """What an asset of another name has now, by its record: its receipt may not be kept yet."""
        for key, record in self._alike(node, partition):
            if not _prints_as(record, key, node.key).isdisjoint(prints):
                return TakenOver(key, record.n_rows), record.data_version
        return None

    def _former(
        self, node: Node, partition: str, prints: tuple[str, ...]
    ) -> tuple[TakenOver, str] | None:
        for former in formers_of(node, partition, prints, self._graph.formers, is_planned=True):
            if self._is_there(node, partition, former):
                return TakenOver(former.whose, former.n_rows), former.data_version
        return None

    def _is_there(self, node: Node, partition: str, former: Former) -> bool:
        # What the same build makes again may replace it before it is taken over.
        is_replaced = former.is_own and (former.asset, partition) in self._to_build
        has = isinstance(node.content, TakesOver) and node.content.still_has(partition, former)
        return has and not is_replaced

    def _computed_once(self, node: Node, partition: str, reading: Reading) -> str:
        """A name for the version that a partition will have, the same for all who compute it."""
        stage, _, name = node.key.rpartition("/")
        print_ = reading.read.renamed(name, ANY).fingerprint(node.code_version)
        first = self._first.setdefault((stage, partition, print_), node.key)
        if first != node.key:
            self.known[node.key, partition] = TakenOver(first)
        return f"expected {print_}"

    def _of_equal_code(self, node: Node, partition: str) -> str | None:
        """An asset of another name with a result that equal code and settings gave."""
        same = (
            key
            for key, record in self._alike(node, partition)
            if record.code_version == node.code_version
        )
        return next(same, None)

    def _alike(self, node: Node, partition: str) -> Iterator[tuple[str, Record]]:
        """Assets that differ by the last part of their keys alone, where that decides nothing.

        Not those that the same build makes again, before which they may be gone.
        """
        stage, _, _ = node.key.rpartition("/")
        for key in self._assets if node.any_name else ():
            is_alike = key != node.key and key.rpartition("/")[0] == stage
            if is_alike and (key, partition) not in self._to_build:
                record = self._records.latest(key).get(partition)
                if record is not None:
                    yield key, record


def _prints_as(record: Record, key: str, other: str) -> set[str]:
    """The fingerprints that a record would have if its asset had another one's name."""
    before, after = (one.rpartition("/")[2] for one in (key, other))
    named = (inputs.renamed(before, after) for inputs in (record.inputs, record.as_read))
    return {inputs.fingerprint(record.code_version) for inputs in named}
