"""Long partitions shard by shard: what a shard gave is kept, so a crash loses one shard's work."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl

from recap_assets.graph.node import Step
from recap_assets.graph.project import Setting
from recap_assets.storage.files import write_atomically

ShardProgress = Callable[[int], None]
"""Told how many more rows are done."""


def by_shard(
    setting: Setting,
    step: Step,
    asset: str,
    rows: pl.DataFrame,
    compute: Callable[[pl.DataFrame, ShardProgress], pl.DataFrame],
) -> pl.DataFrame:
    """Compute a partition shard by shard and put the results together.

    Args:
        setting: Where to keep finished shards until the partition is whole.
        step: The partition; its fingerprint names what is kept, so nothing outdated is reused.
        asset: Key of the asset.
        rows: The partition's samples, with a column `shard`.
        compute: From one shard's rows to its results.
    """
    scratch = setting.workspace.scratch / asset / (step.fingerprint or "direct")
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        step.progress(done / max(rows.height, 1))

    parts = []
    for shard_rows in rows.partition_by("shard", maintain_order=True):
        path = scratch / f"{shard_rows['shard'][0]}.parquet"
        if step.fingerprint and path.exists():
            parts.append(pl.read_parquet(path))
            advance(shard_rows.height)
            continue
        part = compute(shard_rows, advance)
        if step.fingerprint and rows["shard"].n_unique() > 1:
            _keep(part, path)
        parts.append(part)
    return pl.concat(parts) if parts else compute(rows, advance)


def forget(setting: Setting, step: Step, asset: str) -> None:
    """Drop what was kept, once the partition is committed."""
    scratch = setting.workspace.scratch / asset / (step.fingerprint or "direct")
    shutil.rmtree(scratch, ignore_errors=True)


def _keep(part: pl.DataFrame, path: Path) -> None:
    buffer = io.BytesIO()
    part.write_parquet(buffer, compression="zstd")
    write_atomically(path, buffer.getvalue())
