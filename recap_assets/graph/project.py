"""What every stage works with: the experiment, its workspace, and the shards of its pool."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.pool.kinds.urls.plan import Plan, make_plan, read_plan
from recap_assets.shards.manifest import (
    Shard,
    SkippedFile,
    assign,
    list_shards,
    partition_key,
    survey,
    with_unfinished,
)
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.pool import EmbeddedPool, FolderPool, UrlPool, WebDatasetPool
from recap_assets.storage.files import write_atomically
from recap_assets.storage.workspace import Workspace

WORLD_POOL = "pool"


@dataclass(frozen=True)
class Setting:
    """One experiment in its workspace.

    Attributes:
        experiment: The experiment.
        workspace: Where its results lie.
        is_read_only: Whether the workspace is left as it is, being another experiment's or on a
            read-only disk: the list of shards is then kept in memory.
    """

    experiment: Experiment
    workspace: Workspace
    is_read_only: bool = False

    @cached_property
    def pool(self) -> WebDatasetPool | FolderPool:
        """The pool as it is read: what is drawn or fetched is a folder of shards like any other."""
        pool = self.experiment.pool
        if isinstance(pool, EmbeddedPool):
            return WebDatasetPool(
                kind="webdataset",
                shards=str(self.workspace.world / WORLD_POOL),
                shards_per_partition=pool.shards_per_partition,
                limits=pool.limits,
            )
        if isinstance(pool, UrlPool):
            return WebDatasetPool(
                kind="webdataset",
                shards=str(self.downloaded),
                metadata=pool.metadata,
                shards_per_partition=pool.shards_per_partition,
                limits=pool.limits,
            )
        return pool

    @property
    def downloaded(self) -> Path:
        """Folder of the shards that are fetched from a list of URLs."""
        pool = self.experiment.pool
        named = pool.shards if isinstance(pool, UrlPool) else None
        return Path(named).absolute() if named else self.workspace.downloads / "shards"

    @property
    def is_frozen(self) -> bool:
        """Whether the shards are those of a receipt: nothing is listed or fetched then."""
        return _is_frozen(self.workspace.manifest)

    @property
    def shards(self) -> Mapping[int, Shard]:
        """The pool's shards by number, as of the last `scan`."""
        pool = self.experiment.pool
        if isinstance(pool, EmbeddedPool):
            return self._drawn_shards
        if isinstance(pool, UrlPool) and not self.is_frozen:
            return self._planned_shards
        if self.is_read_only:
            return self._listed_shards
        path = self.workspace.manifest
        if not path.exists():
            self.scan()
        return _read_manifest(path, path.stat().st_mtime_ns)

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
        pool = self.experiment.pool
        if isinstance(pool, EmbeddedPool) or self.is_read_only:
            return
        if isinstance(pool, UrlPool):
            if not self.is_frozen:
                self._make_plan(pool)
            return
        path = self.workspace.manifest
        known = self._known_shards()
        before = self.shards.values() if path.exists() else ()
        listing = survey(pool)
        now = assign(with_unfinished(listing, before), known)
        if is_frozen := _is_frozen(path):
            names = {shard.name for shard in known}
            now = [shard for shard in now if shard.name in names]
        # Those that left the pool are remembered, so that no other one ever gets their number.
        numbers = {shard.number for shard in now}
        removed = [shard for shard in known if shard.number not in numbers]
        rows = {"shards": [asdict(s) for s in now], "removed": [asdict(s) for s in removed]}
        rows["aside"] = [asdict(one) for one in listing.skipped]
        content = json.dumps(rows | {"frozen": True} if is_frozen else rows, indent=1).encode()
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)

    @property
    def left_aside(self) -> tuple[SkippedFile, ...]:
        """The files that look like shards and are none, as of the last `scan`."""
        path = self.workspace.manifest
        if isinstance(self.experiment.pool, EmbeddedPool) or not path.exists():
            return ()
        rows = json.loads(path.read_text()).get("aside", [])
        return tuple(SkippedFile(**row) for row in rows)

    def freeze(self, shards: Sequence[Shard]) -> None:
        """Make these all the shards that the pool has, under these numbers, whatever else lands."""
        rows = {"shards": [asdict(shard) for shard in shards], "removed": [], "frozen": True}
        write_atomically(self.workspace.manifest, json.dumps(rows, indent=1).encode())

    def usable_images(self, partition: str) -> pl.DataFrame:
        """Where the partition's good images lie: shard, uid, key, offset, size, sha256."""
        return (
            self.workspace.tables.scan(RAW_POOL, partition=partition)
            .filter(is_usable())
            .select("shard", "uid", "key", "offset", "size", "sha256")
            .sort("shard", "offset", "key")
            .collect()
        )

    def _make_plan(self, pool: UrlPool) -> Plan:
        with self.workspace.claims.hold("the plan of the list of URLs"):
            return make_plan(pool, self.workspace.downloads)

    @property
    def _planned_shards(self) -> Mapping[int, Shard]:
        # As those that are drawn, they are known before they exist: by the list.
        plan = read_plan(self.workspace.downloads)
        pool = self.experiment.pool
        if not plan.files and isinstance(pool, UrlPool) and not self.is_read_only:
            plan = self._make_plan(pool)
        return plan.as_shards(self.downloaded)

    def _known_shards(self) -> list[Shard]:
        path = self.workspace.manifest
        return list(_known_shards(path).values()) if path.exists() else []

    @cached_property
    def _listed_shards(self) -> Mapping[int, Shard]:
        pool = self.pool
        return {shard.number: shard for shard in assign(list_shards(pool), self._known_shards())}

    @cached_property
    def _drawn_shards(self) -> Mapping[int, Shard]:
        # They are drawn by an asset of their own, so they are known before they exist.
        pool = self.experiment.pool
        assert isinstance(pool, EmbeddedPool)  # noqa: S101 - told to the type checker
        folder = self.workspace.world / WORLD_POOL
        numbers = range(-(-pool.samples // pool.samples_per_shard))
        return {
            number: Shard(
                name=f"{number:08d}",
                url=str(folder / f"{number:08d}.tar"),
                size=0,
                version="drawn",
                number=number,
            )
            for number in numbers
        }


@lru_cache(maxsize=8)
def _read_manifest(path: Path, _modified: int) -> Mapping[int, Shard]:
    rows = json.loads(path.read_text())["shards"]
    return {shard.number: shard for shard in (Shard(**row) for row in rows)}


def _is_frozen(path: Path) -> bool:
    return path.exists() and bool(json.loads(path.read_text()).get("frozen"))


def _known_shards(path: Path) -> Mapping[int, Shard]:
    content = json.loads(path.read_text())
    rows = content["shards"] + content["removed"]
    return {shard.number: shard for shard in (Shard(**row) for row in rows)}
