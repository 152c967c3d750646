"""The graph of all that an experiment builds: nodes, what they read, how they are computed."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Literal, Protocol, runtime_checkable

import polars as pl

from recap_assets.artefacts.table import Table
from recap_assets.graph.budget import Meter, present_meter
from recap_assets.graph.checks import Check
from recap_assets.graph.former import Former, FormerResults, NoFormerResults
from recap_assets.graph.kept_rows import ByRow
from recap_assets.graph.machines import Machines
from recap_assets.graph.parts import Parts
from recap_assets.graph.reuse import Reuse
from recap_assets.storage.tables import Written

Dimension = Literal["none", "pool", "seed"]
"""What the partitions of a node are: none, pool partitions, or training seeds."""

Progress = Callable[[float], None]
"""Told the done fraction of one partition, between 0 and 1."""

Observe = Callable[[Mapping[str, float]], None]
"""Told figures by name, at any time while a partition is computed."""

Track = Callable[[int, Mapping[str, float]], None]
"""Told the steps done and figures by name: a point of a training's curve."""


@dataclass(frozen=True)
class ForAll:
    """Version of what all partitions of a node read from outside the graph.

    Attributes:
        version: Looks, and gives it.
    """

    version: Callable[[], str]

    def __call__(self, _partition: str) -> str:
        """The same for any partition."""
        return self.version()


@dataclass(frozen=True)
class Dependency:
    """An edge: a node reads another one's partition of the same key, or all of its partitions.

    Attributes:
        asset: The key of what is read.
        partitions: Which of its partitions.
        facets: The facets of it that decide what is made of it; none where any of its content may.
        by: An asset with the reader's partitions: what one of them reads is the facet that is named
            after the partition and that asset's version of it (`facet_of`), where there is one.
    """

    asset: str
    partitions: Literal["same", "all"]
    facets: tuple[str, ...] = ()
    by: str = ""


def facet_of(partition: str, version: str) -> str:
    """The name of the facet that one partition reads, while another asset's version of it is so."""
    return f"{partition}@{version[:FACET_DIGITS]}"


FACET_DIGITS = 16


def merged(dependencies: Iterable[Dependency]) -> tuple[Dependency, ...]:
    """One edge for each asset and choice of partitions; whoever reads the whole reads no less."""
    found: dict[tuple[str, str], Dependency] = {}
    for one in dependencies:
        known = found.get((one.asset, one.partitions), one)
        is_whole = not (one.facets and known.facets)
        facets = () if is_whole else tuple(sorted({*known.facets, *one.facets}))
        by = one.by if one.by == known.by else ""
        found[one.asset, one.partitions] = replace(one, facets=facets, by=by)
    return tuple(found.values())


@dataclass(frozen=True)
class Rows:
    """What computing one partition found, for the platform to write where the content is.

    Attributes:
        frame: The rows of the main table; columns that name the slice are filled in.
        beside: Those of the content's tables beside it, in their order.
        rejected: Rows set aside, by reason.
        facts: Small numbers and words for people, shown with the materialization.
        markdown: A preview, in markdown.
        device: What computed it: `cpu`, or a GPU's name.
        machine: What of the machine decides the last bits; goes into the provenance.
    """

    frame: pl.DataFrame
    beside: tuple[pl.DataFrame, ...] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    markdown: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    machine: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What was computed and written of one partition.

    Attributes:
        data_version: Hash of the content written.
        n_rows: Rows written.
        rejected: Rows set aside, by reason.
        facts: Small numbers and words for people, shown with the materialization.
        markdown: A preview, in markdown.
        written: What was done to each table, the main one first.
        device: What computed it: `cpu`, or a GPU's name.
        machine: What of the machine decides the last bits; goes into the provenance.
        facets: Version of each facet of the content; none where it has no facets.
    """

    data_version: str
    n_rows: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    markdown: Mapping[str, str] = field(default_factory=dict)
    written: tuple[Written, ...] = ()
    device: str = "cpu"
    machine: Mapping[str, str] = field(default_factory=dict)
    facets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A slice of a table that a partition's content fills."""

    table: Table
    at: Mapping[str, str | int]


class Look(Protocol):
    """One look at the storage: which slices each table has, each table asked for once."""

    def last_of(self, table: Table, leading: tuple[str, ...]) -> Collection[str]:
        """Values of the table's last slice column where the others have the values `leading`."""
        ...

    def lost_of(self, table: Table, leading: tuple[str, ...]) -> Collection[str]:
        """Those of `last_of` that have a file that is gone or cut."""
        ...


class Content(Protocol):
    """Where the content of a node's partitions is."""

    def present(self, look: Look) -> Collection[str]:
        """The partitions whose content is still there, each file of it as long as it was."""
        ...

    def places(self, partition: str) -> tuple[Place, ...]:
        """The slices that hold the partition, the main one first; none for files."""
        ...

    def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:
        """The data version, computed again from what is stored.

        Args:
            partition: The partition's key.
            table_versions: Delta version to read each table at; the current one where it is not
                named.

        Returns:
            None where the content does not decide the version (a page with the time on it).
        """
        ...


@runtime_checkable
class TakesOver(Protocol):
    """Content that can come from elsewhere."""

    def take_over(self, step: "Step", former: Former) -> Outcome | None:
        """Make what was computed before the partition's content; None where it is gone."""
        ...

    def still_has(self, partition: str, former: Former) -> bool:
        """Whether what was computed before seems to be there: by a look, and nothing is hashed."""
        ...


@dataclass(frozen=True)
class Step:
    """One partition to compute, and what is known of it.

    Attributes:
        partition: Its key; empty for a node without partitions.
        fingerprint: Hash of the code version and of all inputs' versions.
        known_version: Data version that the partition holds by the records, if any.
        known_facets: Version of each facet of that.
        commit: Facts to keep in the Delta log.
        progress: Called with how far the partition is.
        observe: Called with figures of a long step on the way (loss, samples a second).
        track: Called with each point of a training's curve on the way.
        reads: Version of everything that it reads, by name.
        asset: The node's key.
        once_written: To be added to: what is done when the partition is written, and only then.
        waits: Called with the reason where the partition has to wait for others.
        reuse: What may be taken over row by row (`graph.by_row`).
        machine: What of this machine decides the last bits of what torch computes.
        parts: Where the parts of its shards are kept; by default in the scratch folder.
        only: The one shard whose part is wanted; by default the whole partition is.
        asked: Digest of the rows that are asked for of each shard; by default it is all of them.
        meter: Counts what is spent, and stops the partition before that is more than may be.
        machines: What a training is spread over; by default this machine alone.
    """

    partition: str
    fingerprint: str = ""
    known_version: str | None = None
    known_facets: Mapping[str, str] = field(default_factory=dict)
    commit: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = lambda _done: None
    observe: Observe = lambda _figures: None
    track: Track = lambda _step, _figures: None
    reads: Mapping[str, str] = field(default_factory=dict[str, str])
    asset: str = ""
    once_written: list[Callable[[], None]] = field(default_factory=list)
    waits: Callable[[str], None] = lambda _reason: None
    reuse: Reuse = field(default_factory=Reuse)
    machine: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: Parts | None = None
    only: int | None = None
    asked: Mapping[int, str] = field(default_factory=dict[int, str])
    meter: Meter = field(default_factory=present_meter)
    machines: Machines | None = None


@dataclass(frozen=True)
class Node:
    """One asset.

    Attributes:
        key: The asset's name, parts joined by a slash.
        stage: The stage it belongs to; its group in the UI.
        dimension: What its partitions are.
        dependencies: What it reads; edges to one asset are merged.
        implementation: Version of the code, raised by hand when it gives another result.
        decides: All that decides the content beside the code and what is read, as `deciding` gives
            it; a change is explained from it.
        compute: Computes one partition: rows for the platform to write, or an outcome where it
            wrote files itself.
        description: What a user needs to know of it.
        content: Where its partitions are; None: nowhere that could be checked.
        outside: Version of what a partition reads from outside the graph (shards in a bucket).
        seconds: A guess of one partition's time, for the first plan, before there is a history.
        seconds_are_of: Images that the guess is for; None: for a partition, however large it is.
        pool: The concurrency pool that a computation takes a place in.
        n_gpus: GPUs that a partition is computed on, of those in the pool `gpu`; None: all.
        spreads: Whether one partition may be computed by several machines (`Step.machines`).
        by_shard: Whether its shards are computed one by one, so that workers may share them.
        kinds: Tags for the UI.
        checks: What must hold of the content.
        shows_origin: Whether its events show the whole tree of what it came from.
        is_worth_keeping: Whether a result that the same code, settings and inputs gave before is
            taken over, where the storage still has it, instead of computed once more.
        rows: How rows that were computed before are recognized; None computes all of them.
        any_name: Whether the last part of its key is a name that decides nothing: what an asset of
            another name computed from the same, but for that name, is taken over.
        needs: Of what decides, as JSON values, all that the content depends on. Where it is less
            than `decides` says, an edit of the rest rebuilds nothing; by default it is all.
    """

    key: str
    stage: str
    dimension: Dimension
    dependencies: tuple[Dependency, ...]
    implementation: int
    decides: str
    compute: Callable[[Step], Rows | Outcome]
    description: str
    content: Content | None = None
    outside: Callable[[str], str] | None = None
    seconds: float = 1.0
    seconds_are_of: int | None = None
    pool: Literal["cpu", "gpu"] = "cpu"
    n_gpus: int | None = 1
    spreads: bool = False
    by_shard: bool = False
    kinds: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    shows_origin: bool = False
    is_worth_keeping: bool = False
    rows: ByRow | None = None
    any_name: bool = False
    needs: Callable[[Mapping[str, object]], object] | None = None

    def __post_init__(self) -> None:
        """Merge the edges: two that read other facets of one asset are one that reads both."""
        object.__setattr__(self, "dependencies", merged(self.dependencies))

    @cached_property
    def code_version(self) -> str:
        """Hash of the implementation's version and of the settings that decide the content."""
        return hashlib.sha256(f"{self.implementation}\n{self.decides}".encode()).hexdigest()[:16]

    @property
    def gpus(self) -> int | None:
        """GPUs that a partition is computed on; None: all that may be used."""
        return self.n_gpus if self.pool == "gpu" else 0

    @property
    def decides_value(self) -> dict[str, object]:
        """What decides the content, as plain JSON values."""
        return json.loads(self.decides)

    @property
    def has_many(self) -> bool:
        """Whether it may have thousands of partitions whose rows are computed one by one."""
        return self.rows is not None and self.dimension == "pool"

    def is_of(self, implementation: int, decides: str) -> bool:
        """Whether content of this code and these settings is what the node would compute."""
        if self.needs is None or implementation != self.implementation:
            return False
        then, now = json.loads(decides), self.decides_value
        return self.needs(then) == self.needs(now)

    def places(self, partition: str) -> tuple[Place, ...]:
        """The slices that hold the partition, the main one first; none for files."""
        return () if self.content is None else self.content.places(partition)

    def stored_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:
        """The partition's data version, computed again from what is stored; see `Content`."""
        if self.content is None:
            return None
        return self.content.data_version(partition, table_versions)


def most_gpus(*nodes: Node) -> int | None:
    """GPUs that suffice for what each of the nodes computes, one after the other; None: all."""
    needs = [node.gpus for node in nodes if node.gpus is not None]
    return max(needs, default=0) if len(needs) == len(nodes) else None


@dataclass(frozen=True)
class Leaving:
    """Content of something that left the experiment.

    Attributes:
        asset: The key it had.
        partitions: The partitions' keys; one empty key where it had none.
        reason: What left, for people.
        remove: Deletes them; their lineage stays.
    """

    asset: str
    partitions: tuple[str, ...]
    reason: str
    remove: Callable[[], None]


class Graph:
    """All nodes of an experiment in an order in which each comes after what it reads.

    Args:
        nodes: The nodes, in any order.
        partitions: Keys of a dimension's partitions.
        look: Begins a look at the storage; without it nothing is checked.
        leaving: What the storage holds of things that left the experiment.
        unfinished: Names (`asset[partition]`) of what a build was interrupted at, with the time
            when it began: what the storage holds may be newer than a record of before then.
        formers: What was computed before, here or in another experiment; by default nothing.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        partitions: Callable[[Dimension], Sequence[str]],
        look: Callable[[], Look] | None = None,
        leaving: Callable[[], Sequence["Leaving"]] = tuple,
        unfinished: Callable[[], Mapping[str, float]] = dict,
        formers: FormerResults | None = None,
    ) -> None:
        by_key = {node.key: node for node in nodes}
        edges = {node.key: {dep.asset for dep in node.dependencies} for node in nodes}
        order = TopologicalSorter(edges).static_order()
        self.nodes: dict[str, Node] = {key: by_key[key] for key in order}
        self.look = look
        self.leaving = leaving
        self.unfinished = unfinished
        self.formers = formers or NoFormerResults()
        self._partitions = partitions

    def partitions(self, node: Node) -> tuple[str, ...]:
        """Keys of the node's partitions; one empty key where it has none."""
        return ("",) if node.dimension == "none" else tuple(self._partitions(node.dimension))

    def reads_same(self, node: Node, dependency: Dependency) -> bool:
        """Whether a partition of the node reads one partition of the dependency: of its own key."""
        upstream = self.nodes[dependency.asset]
        return dependency.partitions == "same" and node.dimension == upstream.dimension != "none"

    def ancestors(self, assets: Iterable[str]) -> set[str]:
        """The assets and everything that they read, directly or not."""
        found: set[str] = set()
        waiting = list(assets)
        while waiting:
            if (key := waiting.pop()) not in found:
                found.add(key)
                waiting += [dependency.asset for dependency in self.nodes[key].dependencies]
        return found

    def descendants(self, assets: Iterable[str]) -> set[str]:
        """The assets and everything that reads them, directly or not."""
        found = set(assets)
        for node in self.nodes.values():
            if any(dependency.asset in found for dependency in node.dependencies):
                found.add(node.key)
        return found

    def read_by(self, node: Node, partition: str, dependency: Dependency) -> tuple[str, ...]:
        """Partitions of the dependency that this partition of the node reads."""
        if self.reads_same(node, dependency):
            return (partition,)
        return self.partitions(self.nodes[dependency.asset])
