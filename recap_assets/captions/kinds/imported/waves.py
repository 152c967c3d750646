"""The imported rows of a pool partition, without reading the whole import for each.

Keys are hashes, so the rows of one partition are all over the import. The first partition that
asks has the import read once, for itself and for the partitions after it, up to what fits in
memory; what was found is in the scratch folder until each of them has taken its part.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import polars as pl

from recap_assets.artefacts.captions import IMPORTED_CAPTIONS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.captions.kinds.imported.buckets import WHOLE
from recap_assets.captions.kinds.imported.files import url_keys
from recap_assets.captions.kinds.imported.spec import JoinKey
from recap_assets.graph.project import Project
from recap_assets.storage.files import replaced_directory

WAVE_KEYS = 30_000_000
"""Keys of the pool that are searched for at once; a few GiB of memory."""
ROW_GROUP = 16_384

_MANIFEST = "partitions.json"
_FOUND = ("uid", "number", "text", "expected_text", "n")


def pool_keys(
    project: Project, by: JoinKey, partitions: Iterable[str], *, usable: bool = True
) -> pl.DataFrame:
    """The keys of the pool's samples: partition, uid, key, rank.

    By sha256 a sample has two keys: that of the image as it was downloaded comes first (rank 0),
    that of the bytes in the shard second; they differ where img2dataset resized the image.

    Args:
        project: The experiment.
        by: What the keys are.
        partitions: Of which partitions.
        usable: Those of the usable samples, or else those of the others.
    """
    rows = project.workspace.tables.scan(RAW_POOL).filter(
        pl.col("partition").is_in(list(partitions)) & (is_usable() == usable)
    )
    return keys_of(rows, by)


def keys_of(rows: pl.LazyFrame, by: JoinKey) -> pl.DataFrame:
    """The keys of some rows of RAW_POOL, as `pool_keys`."""
    match by:
        case "uid":
            columns = [pl.col("uid").alias("key")]
        case "url":
            columns = [pl.col("url").alias("key")]
        case "sha256":
            columns = [pl.col("original_sha256").alias("key"), pl.col("sha256").alias("key")]
    ranked = [
        rows.select("partition", "uid", column, rank=pl.lit(rank, pl.UInt8)).collect()
        for rank, column in enumerate(columns)
    ]
    keys = pl.concat(ranked).drop_nulls("key")
    if by == "url":
        keys = keys.with_columns(url_keys(keys["key"]))
    if len(columns) == 1:
        return keys  # no two usable samples of a partition have the same uid
    return keys.sort("rank").unique(["partition", "uid", "key"], keep="first", maintain_order=True)


def found_rows(project: Project, name: str, by: JoinKey, partition: str) -> pl.DataFrame:
    """The rows that an import has for the usable images of one partition.

    Returns:
        `uid`, `number`, `text`, `expected_text`, `n`; a row of the import once for each image.
    """
    asked = _asked(project, by, [partition])[partition]
    folder = _folder(project, name)
    wave = _wave_with(folder, partition, asked)
    if wave is None:
        with project.workspace.claims.hold(f"{IMPORTED_CAPTIONS.key(name)} wave"):
            wave = _wave_with(folder, partition, asked) or _make_wave(
                project, name, by, folder, partition
            )
    rows = pl.concat(
        pl.scan_parquet(path).filter(pl.col("partition") == partition)
        for path in sorted(wave.glob("*.parquet"))
    ).collect()
    best = rows
    if rows["rank"].n_unique() > 1:
        best = rows.filter(pl.col("rank") == pl.col("rank").min().over("uid"))
    _forget(wave, partition)
    return best.select(_FOUND)


def key_waves(
    project: Project, by: JoinKey, partitions: Iterable[str], *, usable: bool = True
) -> Iterator[dict[str, pl.DataFrame]]:
    """`pool_keys` of the partitions, as many at once as fit in memory."""
    wave: dict[str, pl.DataFrame] = {}
    for partition in partitions:
        wave[partition] = pool_keys(project, by, [partition], usable=usable)
        if sum(part.height for part in wave.values()) >= WAVE_KEYS:
            yield wave
            wave = {}
    if wave:
        yield wave


def by_bucket(keys: pl.DataFrame, buckets: Sequence[str]) -> Mapping[str, pl.DataFrame]:
    """The keys that can are in each bucket, by its name."""
    if WHOLE in buckets:
        return {WHOLE: keys}
    name = pl.col("key").bin.encode("hex").str.head(len(buckets[0])).alias("bucket")
    parts = keys.with_columns(name).partition_by("bucket", as_dict=True, include_key=False)
    return {bucket: parts.get((bucket,), keys.clear()) for bucket in buckets}


def buckets_of(project: Project, name: str) -> list[str]:
    """The buckets that an import's rows are in."""
    slices = project.workspace.tables.slices(IMPORTED_CAPTIONS)
    return sorted(one["bucket"] for one in slices if one["source"] == name)


def _folder(project: Project, name: str) -> Path:
    """Where the waves of the import as it is now are: named by the files that hold its rows."""
    files = project.workspace.tables.files_of(IMPORTED_CAPTIONS, None, {"source": name})
    stamp = _digest(path for paths in files.values() for path in paths)
    return project.workspace.scratch / IMPORTED_CAPTIONS.key(name) / stamp


def _asked(project: Project, by: JoinKey, partitions: Iterable[str]) -> dict[str, str]:
    """What a wave answers for each partition: by the files that hold its samples, unread."""
    files = project.workspace.tables.files_of(RAW_POOL, None, {})
    return {key: _digest([by, *files.get(key, ())]) for key in partitions}


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]


def _wave_with(folder: Path, partition: str, asked: str) -> Path | None:
    for path in sorted(folder.glob(f"*/{_MANIFEST}")):
        if _manifest(path.parent).get(partition) == asked:
            return path.parent
    return None


def _manifest(wave: Path) -> Mapping[str, str]:
    # Another process may have taken the last part and removed the wave.
    with suppress(FileNotFoundError):
        return json.loads((wave / _MANIFEST).read_text())
    return {}


def _make_wave(project: Project, name: str, by: JoinKey, folder: Path, first: str) -> Path:
    for other in folder.parent.glob("*/"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    taken = {key for wave in folder.glob("*/") for key in _manifest(wave)}
    later = [key for key in project.partitions if key > first and key not in taken]
    # Before the keys: where the pool changes meanwhile, the wave is too old, and made again.
    asked = _asked(project, by, [first, *later])
    keys = next(key_waves(project, by, [first, *later]))
    # Of an import without any row there is an empty bucket all the same.
    buckets = buckets_of(project, name) or [WHOLE]
    # Sorted by number and not as text.
    partition = pl.col("partition").cast(pl.Enum(list(keys)))
    parts = by_bucket(pl.concat(keys.values()).with_columns(partition), buckets)
    wave = folder / first
    with replaced_directory(wave) as new:
        for bucket in buckets:
            rows = project.workspace.tables.read(IMPORTED_CAPTIONS, source=name, bucket=bucket)
            found = rows.drop("source", "bucket").join(parts[bucket], on="key")
            # A partition after the other, so that each is read by itself.
            found.sort("partition", multithreaded=False).cast(
                {"partition": pl.String}
            ).write_parquet(new / f"{bucket}.parquet", row_group_size=ROW_GROUP, compression="lz4")
        (new / _MANIFEST).write_text(
            json.dumps({partition: asked[partition] for partition in keys})
        )
    return wave


def _forget(wave: Path, partition: str) -> None:
    """Note that the partition took its part; the last one removes the wave."""
    with suppress(FileNotFoundError):
        (wave / f"{partition}.taken").touch()
        if all((wave / f"{key}.taken").exists() for key in _manifest(wave)):
            shutil.rmtree(wave, ignore_errors=True)
