"""What was found of images when their shards were indexed before: they are not decoded again.

A shard that changed is read, and its images are hashed. What their bytes tell beside the hash was
decoded for it the last time, and is the same for the same bytes and limits.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.graph.kept_rows import UNREADABLE, KeptSlice, read_kept
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.shards.sample_rows import ImageRow, Known

_COLUMNS = ("shard", "sha256", "image_format", "width", "height", "perceptual_hash")


@dataclass(frozen=True)
class FormerImages:
    """Usable images of some shards.

    Attributes:
        rows: Their columns of RAW_POOL, none null.
    """

    rows: pl.DataFrame

    def of_shard(self, number: int) -> Known:
        """Those of one shard, by their hash."""
        of_it = self.rows.filter(pl.col("shard") == number).drop("shard")
        return Known({sha256: ImageRow(*told) for sha256, *told in of_it.iter_rows()})


def former_images(project: Project, step: Step) -> FormerImages:
    """The images that a partition's shards had, by whatever slices hold them now."""
    shards = [shard.number for shard in project.partitions[step.partition]]
    found = [RAW_POOL.empty().select(_COLUMNS)]
    for one in _slices(project, step, shards):
        rows = read_kept(RAW_POOL, one, None)
        if rows is not None:
            usable = rows.filter(is_usable() & pl.col("shard").is_in(shards))
            found.append(usable.select(_COLUMNS).drop_nulls())
    return FormerImages(pl.concat(found).unique(["shard", "sha256"]))


def _slices(project: Project, step: Step, shards: list[int]) -> Iterator[KeptSlice]:
    """Its own slice, where that has all of the shards, and else all that have some."""
    root = project.workspace.tables.root
    kept = {key: one for key, one in step.reuse.present().items() if one.tables.root == root}
    if not kept:
        return
    having = _having(project, shards)
    partitions = [step.partition] if having.get(step.partition) == len(shards) else [*having]
    yield from (kept[key] for key in partitions if key in kept)


def _having(project: Project, shards: list[int]) -> dict[str, int]:
    """How many of the shards each partition has that is stored now."""
    try:
        rows = project.workspace.tables.scan(RAW_POOL).filter(pl.col("shard").is_in(shards))
        counted = rows.group_by("partition").agg(pl.col("shard").n_unique()).sort("partition")
        return dict(counted.collect(engine="streaming").iter_rows())
    except UNREADABLE:
        return {}
