"""What every stage works with: the experiment, its workspace, and the shards of its pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.shards import manifest_file
from recap_assets.shards.manifest import Shard, SkippedFile, partition_key
from recap_assets.shards.pools import ReadablePool
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.kinds import fitting
from recap_assets.storage.workspace import Workspace


@dataclass(frozen=True)
class Project:
    """One experiment in its workspace.

    Attributes:
        experiment: The experiment.
        workspace: Where its results are.
        is_read_only: Whether the workspace is left as it is, being another experiment's or on a
            read-only disk: the list of shards is then kept in memory.
        given: Its shards, where they came with the work; nothing is listed then.
    """

    experiment: Experiment
    workspace: Workspace
    is_read_only: bool = False
    given: Mapping[int, Shard] | None = field(default=None, compare=False)

    @cached_property
    def pool(self) -> ReadablePool:
        """The experiment's pool, with shards that can be read.

        Raises:
            KindError: A kind of another package is none.
        """
        return fitting("pool", self.experiment.pool, ReadablePool)

    def fixed(self) -> "Project":
        """The same for a reader of many slices: each table is opened once, and none written."""
        return replace(self, workspace=self.workspace.fixed())

    def task_folder(self, name: str) -> Path:
        """Where an asset puts the evaluation set that it makes for a task."""
        return self.workspace.world / "evaluation" / name

    @property
    def is_frozen(self) -> bool:
        """Whether the shards are those of a receipt: nothing is listed or fetched then."""
        return manifest_file.is_frozen(self.workspace.manifest)

    @property
    def shards(self) -> Mapping[int, Shard]:
        """The pool's shards by number, as of the last `scan`."""
        if self.given is not None:
            return self.given
        if self.is_read_only and self.pool.made_by is None:
            return self._listed_once
        return self.pool.known_shards(self)

    @cached_property
    def _listed_once(self) -> Mapping[int, Shard]:
        return self.pool.known_shards(self)

    @property
    def partitions(self) -> Mapping[str, tuple[Shard, ...]]:
        """The shards of each pool partition."""
        groups: dict[str, list[Shard]] = {}
        for number, shard in sorted(self.shards.items()):
            key = partition_key(number, self.pool.shards_per_partition)
            groups.setdefault(key, []).append(shard)
        return {key: tuple(shards) for key, shards in groups.items()}

    def scan(self) -> None:
        """Look which shards the pool has now, and keep the list; known ones keep their numbers."""
        if not self.is_read_only:
            self.pool.scan(self)

    @property
    def left_aside(self) -> tuple[SkippedFile, ...]:
        """The files that look like shards and are none, as of the last `scan`."""
        return tuple(self.pool.left_aside(self))

    def freeze(self, shards: Sequence[Shard]) -> None:
        """Make these all the shards that the pool has, under these numbers, whatever else lands."""
        manifest_file.freeze(self.workspace.manifest, shards)

    def usable_images(self, partition: str, uids: pl.Series | None = None) -> pl.DataFrame:
        """Where the partition's good images are: shard, uid, key, offset, size, sha256.

        Of all of them, or of those with some uids.
        """
        wanted = is_usable() if uids is None else is_usable() & pl.col("uid").is_in(uids.implode())
        return (
            self.workspace.tables.scan(RAW_POOL, partition=partition)
            .filter(wanted)
            .select("shard", "uid", "key", "offset", "size", "sha256")
            .sort("shard", "offset", "key")
            .collect()
        )
