"""Versions of what each partition reads, by the records of one moment."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from recap_assets.graph.node import Dependency, ForAll, Graph, Node
from recap_assets.graph.records import MISSING, OUTSIDE, Inputs, Record, Records


class VersionReader:
    """Reads each asset's records once, and folds those of a whole asset into one version once."""

    def __init__(self, graph: Graph, records: Records) -> None:
        self._graph = graph
        self._records = records
        self._latest: dict[str, Mapping[str, Record]] = {}
        self._folded: dict[str, str] = {}

    def latest(self, asset: str) -> Mapping[str, Record]:
        """The last record of each partition of an asset."""
        if asset not in self._latest:
            self._latest[asset] = self._records.latest(asset)
        return self._latest[asset]

    def inputs(self, node: Node, partition: str) -> Inputs:
        """Versions of everything that the partition reads; `missing` for what was never built."""
        return self.inputs_of(node)(partition)

    def inputs_of(self, node: Node) -> Callable[[str], Inputs]:
        """From a partition of the node to the versions of everything that it reads."""
        readers: dict[str, Callable[[str], str]] = {
            dep.asset: self._version_of(node, dep) for dep in node.dependencies
        }
        if node.outside is not None:
            readers[OUTSIDE] = _looked_once(node.outside)
        names = tuple(sorted(readers))
        in_order = [readers[name] for name in names]
        return lambda partition: Inputs(names, tuple([read(partition) for read in in_order]))

    def events(self, node: Node, partition: str) -> dict[str, int]:
        """For each dependency the newest event that the partition reads."""
        return {
            dep.asset: max(
                (
                    record.event_id
                    for key in self._graph.read_by(node, partition, dep)
                    if (record := self.latest(dep.asset).get(key)) is not None
                ),
                default=0,
            )
            for dep in node.dependencies
        }

    def _version_of(self, node: Node, dependency: Dependency) -> Callable[[str], str]:
        latest = self.latest(dependency.asset)
        if self._graph.reads_same(node, dependency):

            def of_same(partition: str) -> str:
                record = latest.get(partition)
                return MISSING if record is None else record.data_version

            return of_same
        version = self._fold(dependency.asset)
        return lambda _partition: version

    def _fold(self, asset: str) -> str:
        """One version for all partitions: their number, and a hash; `missing` where one is."""
        if asset not in self._folded:
            keys = self._graph.partitions(self._graph.nodes[asset])
            found = [self.latest(asset).get(key) for key in keys]
            self._folded[asset] = _folded(keys, found)
        return self._folded[asset]


def _looked_once(outside: Callable[[str], str]) -> Callable[[str], str]:
    if not isinstance(outside, ForAll):
        return outside
    version = outside.version()
    return lambda _partition: version


def _folded(keys: tuple[str, ...], found: list[Record | None]) -> str:
    if any(record is None for record in found):
        return MISSING
    versions = [record.data_version for record in found if record is not None]
    return folded_version(keys, versions)


def folded_version(keys: Sequence[str], versions: Sequence[str]) -> str:
    """One version for all partitions of an asset: their number, and a hash in the order given."""
    if list(keys) == [""]:
        return versions[0]
    digest = hashlib.sha256()
    for key, version in zip(keys, versions, strict=True):
        digest.update(f"{key}={version}\n".encode())
    return f"{len(keys)}x{digest.hexdigest()[:32]}"


def n_folded(version: str) -> int | None:
    """Partitions behind the version of a whole asset; None where it is that of one partition."""
    count, times, _ = version.partition("x")
    return int(count) if times and count.isdigit() else None
