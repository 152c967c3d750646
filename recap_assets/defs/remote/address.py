"""Work as it is sent to a worker: which shard of which partition, and where everything is."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from recap_assets.assembly.graph import build_graph
from recap_assets.graph.budget import METER, Budget, Meter, Rate
from recap_assets.graph.building import reuse_by
from recap_assets.graph.computing_on import hold_gpus
from recap_assets.graph.node import Graph, Node, Rows, Step
from recap_assets.graph.parts import StoredParts
from recap_assets.graph.project import Project
from recap_assets.graph.reuse import Account
from recap_assets.graph.shardwise import OneShardError
from recap_assets.shards.manifest import Shard
from recap_assets.specs.loading import parse_experiment
from recap_assets.storage.workspace import Workspace
from recap_assets.untrusted.errors import RecapError


@dataclass(frozen=True)
class Address:
    """One shard of a partition, or the whole partition put together from its parts.

    Attributes:
        experiment: The experiment, as JSON.
        data: The data folder.
        tables_root: Root of all tables; None: below the data folder.
        asset: The asset's key.
        code_version: The asset's, where it is built.
        partition: The partition's key.
        fingerprint: Of the partition; it names its parts.
        shards: The partition's shards.
        settings: Digest of what rows were computed under that may be taken over; empty: none is.
        shard: The one whose part is wanted; None: the rows of the partition.
        budget: What may be spent on it; None: anything.
        rate: What an image is expected to take.
    """

    experiment: str
    data: str
    tables_root: str | None
    asset: str
    code_version: str
    partition: str
    fingerprint: str
    shards: tuple[Shard, ...]
    settings: str = ""
    shard: int | None = None
    budget: Budget | None = None
    rate: Rate = field(default_factory=Rate)

    @property
    def name(self) -> str:
        """What it is, for people."""
        names = [one.name for one in self.shards if self.shard in (one.number, None)]
        return names[0] if self.shard is not None and names else f"{self.asset}[{self.partition}]"


@dataclass(frozen=True)
class Answer:
    """What became of an address.

    Attributes:
        rows: The partition's, where those were wanted.
        took: What of them was taken over.
        is_whole: Whether the asset does not compute by shards.
        made: What making a shard's part took, of `graph.reuse.TOOK`.
        n_captions: Captions that were written for it.
        refused: What a person can fix.
        may_pass: Whether the same may go well when it is tried again.
    """

    rows: Rows | None = None
    took: Account = field(default_factory=Account)
    is_whole: bool = False
    made: Mapping[str, float] = field(default_factory=dict[str, float])
    n_captions: int = 0
    refused: str | None = None
    may_pass: bool = False


class OtherCodeError(RecapError, RuntimeError):
    """A worker would compute something else than what is built."""


def address_of(project: Project, node: Node, step: Step) -> Address:
    """The address of a whole partition."""
    workspace = project.workspace
    return Address(
        project.experiment.canonical(),
        str(workspace.data),
        workspace.tables_root,
        node.key,
        node.code_version,
        step.partition,
        step.fingerprint,
        project.partitions[step.partition],
        step.reuse.digest,
    )


def answered(address: Address) -> Answer:
    """Compute what is addressed, in this process.

    Raises:
        OtherCodeError: This machine has other code for the asset.
        RecapError: It cannot be computed; a person can fix it.
    """
    project, graph = _opened(address.experiment, address.data, address.tables_root)
    _give(project, address.shards)
    node = graph.nodes[address.asset]
    if node.code_version != address.code_version:
        raise OtherCodeError(_other_code(address))
    METER.set(address.budget and Meter(address.budget, {address.asset: address.rate}))
    step = Step(
        address.partition,
        address.fingerprint,
        asset=address.asset,
        reuse=reuse_by(node, address.partition, address.settings, graph.formers),
        parts=StoredParts.of(project.workspace.tables.root, address.asset, address.fingerprint),
        only=address.shard,
    )
    hold_gpus(node, step)
    try:
        found = node.compute(step)
    except OneShardError as kept:
        return Answer(made=kept.took, n_captions=kept.n_captions)
    if address.shard is not None:
        return Answer(is_whole=True)
    assert isinstance(found, Rows), "files are written where they belong"  # noqa: S101
    return Answer(found, step.reuse.account)


def _other_code(address: Address) -> str:
    return (
        f"{address.asset}: the worker on {platform.node()} has other code or settings for it than "
        "the machine that builds; install the same versions of Recap and of its kinds on all nodes"
    )


@lru_cache(maxsize=2)
def _opened(experiment: str, data: str, tables_root: str | None) -> tuple[Project, Graph]:
    parsed = parse_experiment(json.loads(experiment))
    workspace = Workspace(Path(data), parsed.name, tables_root)
    project = Project(parsed, workspace, is_read_only=True, given={})
    return project, build_graph(project)


def _give(project: Project, shards: Sequence[Shard]) -> None:
    given = project.given
    assert isinstance(given, dict), "the project was opened here"  # noqa: S101
    given.clear()
    given.update({shard.number: shard for shard in shards})
