"""The usable samples of a pool in parts, with what they are compared and ranked by."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import polars as pl

from recap_assets.artefacts import IMAGE_EMBEDDINGS, RAW_POOL, TEXT_SIGNATURES, is_usable
from recap_assets.graph.stage import Project
from recap_assets.sets.kinds.unique.spec import UniqueSpec

Parts = Callable[[], Iterable[pl.DataFrame]]
"""Samples in parts, in the same order each time, as `PoolSamples` has them."""

_COLUMN = {"sha256": "sha256", "perceptual": "perceptual_hash"}


@dataclass(frozen=True)
class PoolSamples:
    """The samples that have what they are compared by.

    Attributes:
        keyed: Their parts with `uid`, `shard`, `rank` and `key`, what they are compared by; of one
            part in the order of uid.
        bare: The same parts without `key`.
    """

    keyed: Parts
    bare: Parts

    @classmethod
    def of_pool(cls, project: Project, name: str, spec: UniqueSpec) -> "PoolSamples":
        """Those of an experiment's pool, a partition at a time."""
        read = partial(_parts, project, name, spec)
        return cls(partial(read, "key"), partial(read))

    def __len__(self) -> int:
        return sum(part.height for part in self.bare())


def _parts(project: Project, name: str, spec: UniqueSpec, *key: str) -> Iterator[pl.DataFrame]:
    for partition in project.partitions:
        rows = _rows(project, name, spec, partition).filter(pl.col("key").is_not_null())
        yield rows.select("uid", "shard", "rank", *key).sort("uid").collect()


def _rows(project: Project, name: str, spec: UniqueSpec, partition: str) -> pl.LazyFrame:
    sides = [pl.coalesce(f"original_{side}", side).cast(pl.Int64) for side in ("width", "height")]
    rank = sides[0] * sides[1] if spec.keep == "largest" else pl.lit(0, pl.Int64)
    tables = project.workspace.tables
    rows = tables.scan(RAW_POOL, partition=partition).filter(is_usable())
    key = _COLUMN.get(spec.by)
    columns = {"rank": rank} | ({} if key is None else {"key": pl.col(key)})
    samples = rows.select("uid", "shard", **columns)
    if spec.scorer is not None:
        embedded = tables.scan(IMAGE_EMBEDDINGS, scorer=spec.scorer, partition=partition)
        samples = samples.join(embedded.select("uid", key="embedding"), on="uid")
    if spec.by == "text":
        signed = tables.scan(TEXT_SIGNATURES, set=name, partition=partition)
        samples = samples.join(signed.select("uid", key="same"), on="uid")
    return samples
