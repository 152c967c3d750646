"""What is remembered of what was built."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

OUTSIDE = "outside"
"""The input that stands for what a partition reads from outside the graph."""

MISSING = "missing"
"""Version of an input that was never built."""


class Inputs(NamedTuple):
    """Versions of what one partition reads, at one moment.

    Two tuples, since a pool of many partitions has hundreds of thousands of these and all
    partitions of an asset share the names.
    """

    names: tuple[str, ...]
    versions: tuple[str, ...]

    @classmethod
    def of(cls, versions: Mapping[str, str]) -> "Inputs":
        """From names to versions, in the order of the names."""
        names = tuple(sorted(versions))
        return cls(names, tuple(versions[name] for name in names))

    @property
    def by_name(self) -> dict[str, str]:
        """Version of each input."""
        return dict(zip(self.names, self.versions, strict=True))

    def renamed(self, before: str, after: str) -> "Inputs":
        """The same of assets that are called otherwise: the last part of their keys is another."""
        ends = f"/{before}"
        return Inputs.of(
            {
                f"{name.removesuffix(ends)}/{after}" if name.endswith(ends) else name: version
                for name, version in zip(*self, strict=True)
            }
        )

    def with_facets(self, read: Mapping[str, str]) -> tuple[str, ...]:
        """The versions, with those of what was read where that is not the whole; none otherwise."""
        if not read:
            return ()
        return tuple(read.get(name, whole) for name, whole in zip(*self, strict=True))

    def fingerprint(self, code_version: str) -> str:
        """Hash over the code version and every input's version."""
        digest = hashlib.sha256(code_version.encode())
        for name, version in sorted(self.by_name.items()):
            digest.update(f"\n{name}={version}".encode())
        return digest.hexdigest()[:32]


NO_VERSIONS = Inputs((), ())


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of the last materialization of one partition.

    Attributes:
        data_version: Hash of the content.
        code_version: Of the node, when it was built.
        inputs: Version of each input as a whole, when it was read.
        n_rows: Rows written.
        event_id: The event that recorded it, in the order of events.
        seconds: What computing it took, when it was computed last.
        n_bytes: Bytes that were written then.
        gpu_seconds: The part of `seconds` that a GPU was held.
        built_at: When, in seconds since 1970.
        rejected: Rows set aside, by reason.
        facets: Version of each facet of the content; one that is not named has the data version.
        read: For each input the version of what was read of it: of facets, with their names, or
            that of the whole; empty where all were read whole.
    """

    data_version: str
    code_version: str
    inputs: Inputs
    n_rows: int = 0
    event_id: int = 0
    seconds: float = 0.0
    n_bytes: int = 0
    gpu_seconds: float = 0.0
    built_at: float = 0.0
    rejected: tuple[tuple[str, int], ...] = ()
    facets: Inputs = NO_VERSIONS
    read: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Hash of the code version and of the versions of what was read."""
        return self.as_read.fingerprint(self.code_version)

    @property
    def as_read(self) -> Inputs:
        """The version of what was read of each input."""
        return Inputs(self.inputs.names, self.read) if self.read else self.inputs

    @property
    def facets_read(self) -> dict[str, str]:
        """The version of what was read, of inputs that were not read whole."""
        read = zip(self.inputs.names, self.inputs.versions, self.read, strict=False)
        return {name: version for name, whole, version in read if version != whole}

    def is_older(self, interrupted: float | None) -> bool:
        """Whether it was made before an interrupted build began; never where there was none.

        A record made after that is the interrupted build's own, cut off only when all was done.

        Args:
            interrupted: When that build began, in seconds since 1970.
        """
        return interrupted is not None and self.built_at < interrupted


class Implementation(NamedTuple):
    """What a code version stood for: the version of the code, and what decided the content."""

    version: int
    decides: str


class Records(Protocol):
    """The memory of what was built."""

    def latest(self, asset: str) -> Mapping[str, Record]:
        """The last record of each partition; the key is empty for a node without partitions."""
        ...

    def implementation(self, asset: str, record: Record) -> Implementation | None:
        """What the code version of a record stood for; None where no event says."""
        ...

    def facts(self, asset: str, data_version: str) -> Mapping[str, str | float]:
        """Facts of an asset without partitions when it had this data version; empty if unknown."""
        ...


class StoredRecords(Records, Protocol):
    """Records that are kept somewhere, and read from there."""

    def look(self, assets: Iterable[str]) -> None:
        """Look at many assets at once, for the next `latest` of each."""
        ...

    def save(self) -> None:
        """Keep what was read, where reading it again would take long."""
        ...


class NoRecords:
    """The records of an experiment of which nothing was ever built."""

    def look(self, assets: Iterable[str]) -> None:
        """There is nothing to look at."""

    def save(self) -> None:
        """There is nothing to keep."""

    def latest(self, asset: str) -> Mapping[str, Record]:  # noqa: ARG002
        """No partition was built."""
        return {}

    def implementation(self, asset: str, record: Record) -> Implementation | None:  # noqa: ARG002
        """No event says."""
        return None

    def facts(self, asset: str, data_version: str) -> Mapping[str, str | float]:  # noqa: ARG002
        """Unknown."""
        return {}


class RememberedRecords:
    """Records as of the last look: what nobody touched is not asked for again."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._latest: dict[str, Mapping[str, Record]] = {}

    def latest(self, asset: str) -> Mapping[str, Record]:
        """The last record of each partition, from memory where it is there."""
        if asset not in self._latest:
            self._latest[asset] = self._records.latest(asset)
        return self._latest[asset]

    def implementation(self, asset: str, record: Record) -> Implementation | None:
        """What the code version of a record stood for."""
        return self._records.implementation(asset, record)

    def facts(self, asset: str, data_version: str) -> Mapping[str, str | float]:
        """Facts of an asset without partitions when it had this data version."""
        return self._records.facts(asset, data_version)

    def forget(self, assets: Iterable[str]) -> None:
        """Ask for these again next time."""
        for asset in list(assets):
            self._latest.pop(asset, None)
