"""Versions of what each partition reads, by the records of one moment."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from recap_assets.graph.node import Dependency, ForAll, Graph, Node, facet_of
from recap_assets.graph.records import MISSING, OUTSIDE, Inputs, Record, Records


class Reading(NamedTuple):
    """What one partition reads, at one moment.

    Attributes:
        whole: The versions as wholes.
        read: The versions of what is read: of facets where an edge names some.
    """

    whole: Inputs
    read: Inputs

    def differs(self, record: Record) -> list[str]:
        """The inputs of which something else is read now than the record says; sorted.

        An input agrees where its whole is as it was, or what is read of it is, or that has not
        changed since the whole that was read: so agrees what was recorded before facets were.
        """
        before, then = record.inputs.by_name, record.as_read.by_name
        now = zip(*self.whole, self.read.versions, strict=True)
        changed = {
            name
            for name, whole, read in now
            if before.get(name) != whole
            and (read == whole or (before.get(name) != _since(read) and then.get(name) != read))
        }
        return sorted(changed | (before.keys() - set(self.whole.names)))

    def record_with(self, record: Record) -> Record:
        """The record of content that reading this gives, too."""
        read = () if self.read == self.whole else self.read.versions
        return replace(record, inputs=self.whole, read=read)

    def fingerprints(self, code_version: str) -> tuple[str, ...]:
        """The fingerprint, and that of records from before facets were."""
        found = (inputs.fingerprint(code_version) for inputs in (self.read, self.whole))
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Readings:
    """What each partition of one node reads, by the records of one moment.

    Attributes:
        whole: From a partition to the versions of everything that it reads, as wholes.
        facets: Of inputs of which facets are read: the input's place, and from a partition to
            their version.
    """

    whole: Callable[[str], Inputs]
    facets: tuple[tuple[int, Callable[[str], str]], ...]

    def of(self, partition: str, whole: Inputs | None = None) -> Reading:
        """What a partition reads; `whole` where that is known already."""
        whole = whole or self.whole(partition)
        if not self.facets:
            return Reading(whole, whole)
        versions = list(whole.versions)
        for place, version_of in self.facets:
            versions[place] = version_of(partition)
        return Reading(whole, Inputs(whole.names, tuple(versions)))


class VersionReader:
    """Reads each asset's records once, and folds those of a whole asset into one version once."""

    def __init__(self, graph: Graph, records: Records) -> None:
        self._graph = graph
        self._records = records
        self._latest: dict[str, Mapping[str, Record]] = {}
        self._folded: dict[tuple[str, tuple[str, ...]], str] = {}

    def has_code(self, node: Node, record: Record) -> bool:
        """Whether a record's code and settings are the node's, as far as its content needs them."""
        if record.code_version == node.code_version or node.needs is None:
            return record.code_version == node.code_version
        told = self._records.implementation(node.key, record)
        return told is not None and node.is_of(told.version, told.decides)

    def latest(self, asset: str) -> Mapping[str, Record]:
        """The last record of each partition of an asset."""
        if asset not in self._latest:
            self._latest[asset] = self._records.latest(asset)
        return self._latest[asset]

    def readings_of(self, node: Node) -> Readings:
        """What the partitions of a node read."""
        readers = {dep.asset: self._version_of(node, dep, ()) for dep in node.dependencies}
        if node.outside is not None:
            readers[OUTSIDE] = _looked_once(node.outside)
        names = tuple(sorted(readers))
        in_order = [readers[name] for name in names]
        facets = tuple(
            (
                names.index(dep.asset),
                self._version_by(dep) if dep.by else self._facets_of(node, dep),
            )
            for dep in node.dependencies
            if dep.facets or dep.by
        )
        return Readings(
            lambda partition: Inputs(names, tuple([read(partition) for read in in_order])), facets
        )

    def _facets_of(self, node: Node, dependency: Dependency) -> Callable[[str], str]:
        return self._version_of(node, dependency, dependency.facets)

    def _version_by(self, dependency: Dependency) -> Callable[[str], str]:
        """Of an asset without partitions the facet that a partition reads."""
        whole, by = self.latest(dependency.asset).get(""), self.latest(dependency.by)

        def version(partition: str) -> str:
            if whole is None or (other := by.get(partition)) is None:
                return MISSING
            facet = facet_of(partition, other.data_version)
            return _named((facet,), _version(whole, (facet,)))

        return version

    def reading(self, node: Node, partition: str) -> Reading:
        """What a partition reads."""
        return self.readings_of(node).of(partition)

    def fingerprint(self, node: Node, partition: str) -> str:
        """The fingerprint that the partition has when it is up to date."""
        return self.reading(node, partition).read.fingerprint(node.code_version)

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

    def _version_of(
        self, node: Node, dependency: Dependency, facets: tuple[str, ...]
    ) -> Callable[[str], str]:
        latest = self.latest(dependency.asset)
        if not self._graph.reads_same(node, dependency):
            version = self._fold(dependency.asset, facets)
            return lambda _partition: version
        if facets:
            return lambda partition: _named(facets, _version(latest.get(partition), facets))

        def of_same(partition: str) -> str:
            record = latest.get(partition)
            return MISSING if record is None else record.data_version

        return of_same

    def _fold(self, asset: str, facets: tuple[str, ...]) -> str:
        """One version for all partitions: their number, and a hash; `missing` where one is."""
        if (asset, facets) not in self._folded:
            keys = self._graph.partitions(self._graph.nodes[asset])
            versions = [_version(self.latest(asset).get(key), facets) for key in keys]
            folded = MISSING if MISSING in versions else folded_version(keys, versions)
            self._folded[asset, facets] = _named(facets, folded) if facets else folded
        return self._folded[asset, facets]


def _looked_once(outside: Callable[[str], str]) -> Callable[[str], str]:
    if not isinstance(outside, ForAll):
        return outside
    version = outside.version()
    return lambda _partition: version


def _version(record: Record | None, facets: tuple[str, ...]) -> str:
    """Of the whole where no facets are named; of several facets a hash, if they differ."""
    if record is None:
        return MISSING
    if not facets:
        return record.data_version
    known = record.facets.by_name
    versions = [known.get(facet, record.data_version) for facet in facets]
    if len(set(versions)) == 1:
        return versions[0]
    return hashlib.sha256("+".join(versions).encode()).hexdigest()[:32]


def _named(facets: tuple[str, ...], version: str) -> str:
    """With the facets' names: one version may stand for any facet that is unchanged since."""
    return f"{'+'.join(facets)}={version}"


def facets_version(record: Record, read: str) -> str:
    """The version of what was read of an asset, now: of the facets that a recorded version names.

    Args:
        record: The asset's record.
        read: As it was recorded by who read it.
    """
    names, _, _ = read.rpartition("=")
    facets = tuple(names.split("+"))
    return _named(facets, _version(record, facets))


def _since(read: str) -> str:
    return read.rpartition("=")[2]


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
