"""Importing third-party captions: reading a drop once, and each pool partition's share of it.

A drop of random uids as the paper's release has them, and a pool that has 40 % of them, are made in
a temporary folder. A partition's join is compared with the obvious one: semi-joining the whole
import for every partition. Once as far as the rows of the captions, which is where the two differ;
and once with hashing and writing the captions on our side alone. The cost of reading the import
once is in both, divided among the partitions.

    python benchmarks/imports.py [--rows 5_000_000] [--partitions 20]
"""

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from partitions import write
from verdicts import machine, verdict

from recap_assets.artefacts.captions import IMPORT_REPORTS, IMPORTED_CAPTIONS, SYNTHETIC_CAPTIONS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import STATUS_OK
from recap_assets.captions.kinds.imported import ImportSource
from recap_assets.captions.kinds.imported import assets as imported
from recap_assets.captions.kinds.imported.assets import join_partition
from recap_assets.captions.kinds.imported.join import join_captions
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.specs.loading import parse_experiment
from recap_assets.storage.workspace import Workspace

TARGET = 2.0
"""Scanning costs partitions x rows, so the ratio should grow with both."""
SHARE = 0.4


def random_uids(random: np.random.Generator, n: int) -> pl.Series:
    halves = random.integers(0, 2**64, (n, 2), dtype=np.uint64)
    return pl.Series("uid", [row.tobytes() for row in halves], dtype=pl.Binary)


def write_drop(path: Path, uids: pl.Series) -> None:
    """`uid,blip2-cap`, captions of about 55 characters."""
    frame = pl.DataFrame({"uid": uids}).with_row_index("i")
    frame.select(
        uid=pl.col("uid").bin.encode("hex"),
        **{
            "blip2-cap": pl.format(
                "a photo of a dog, number {}, on a beach in the evening sun", "i"
            )
        },
    ).write_csv(path)


def write_pool(project: Project, uids: pl.Series) -> None:
    for part, partition in zip(
        np.array_split(np.arange(len(uids)), len(project.partitions)),
        project.partitions,
        strict=True,
    ):
        columns = {name: [None] * len(part) for name in RAW_POOL.columns if name != "partition"}
        columns |= {
            "shard": [int(partition)] * len(part),
            "uid": uids[part].to_list(),
            "key": [str(i) for i in part],
            "text": [f"raw {i}" for i in part],
            "status": [STATUS_OK] * len(part),
        }
        schema = {n: t for n, t in RAW_POOL.schema.items() if n != "partition"}
        frame = pl.DataFrame(columns, schema=schema)
        project.workspace.tables.replace(RAW_POOL, {"partition": partition}, frame)


def setting_of(folder: Path, partitions: int) -> Project:
    content = {
        "name": "imports",
        "pool": {"kind": "embedded", "samples": partitions, "samples_per_shard": 1},
        "sources": {
            "blip2": {
                "kind": "import",
                "preset": "datacomp_blip2",
                "files": str(folder / "drop.csv"),
            }
        },
        "scorers": {"b32": {"kind": "open_clip", "model": "ViT-B-32"}},
        "mixes": {"raw": [{"use": "raw"}]},
        "evaluation": {"tasks": {"t": {"kind": "webdataset", "path": "none"}}},
    }
    return Project(parse_experiment(content), Workspace(folder, "imports"))


def timed(what: str, work: Callable[[], object]) -> float:
    """Seconds of processor time of all threads, which a busy machine does not lengthen."""
    start, cpu = time.monotonic(), time.process_time()
    work()
    used = time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what}: {used:.2f} s cpu, {time.monotonic() - start:.2f} s, peak {peak:.2f} GiB")
    return used


def join_by_scanning(project: Project, spec: ImportSource, partition: str) -> None:
    """The obvious join: the partition's keys against all rows."""
    tables = project.workspace.tables
    images = tables.scan(RAW_POOL, partition=partition).select("shard", "uid", "text").collect()
    rows = tables.scan(IMPORTED_CAPTIONS, source="blip2")
    found = rows.join(images.lazy().select(key="uid"), on="key", how="semi").collect()
    join_captions(images, found.rename({"key": "uid"}), spec)


def report(project: Project, spec: ImportSource) -> None:
    """Import the files, join every partition in both ways, and print the ratios."""
    nodes = imported.nodes_of(project, "blip2", spec)
    step = Step("", fingerprint="f")
    timed("the files", lambda: write(nodes, IMPORTED_CAPTIONS.key("blip2"), step))
    partitions = list(project.partitions)
    found = [
        timed(
            f"rows of partition {key}",
            lambda key=key: join_partition(project, "blip2", spec, Step(key)),
        )
        for key in partitions
    ]
    joins = [
        timed(
            f"join of partition {key}",
            lambda key=key: write(nodes, SYNTHETIC_CAPTIONS.key("blip2"), Step(key)),
        )
        for key in partitions
    ]
    scans = [
        timed("by scanning", lambda key=key: join_by_scanning(project, spec, key))
        for key in partitions[:5]
    ]
    timed("the report", lambda: write(nodes, IMPORT_REPORTS.key("blip2"), step))
    scan = statistics.mean(scans)
    name = "of a partition, against scanning the import for each"
    verdict(f"rows {name}", scan / statistics.mean(found), TARGET)
    verdict(f"rows, hashes and writing {name}", scan / statistics.mean(joins), TARGET)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--partitions", type=int, default=20)
    args = parser.parse_args()
    print(f"{machine()}; {args.rows:,} rows, {args.partitions} partitions; pid {os.getpid()}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        project = setting_of(folder, args.partitions)
        spec = project.experiment.sources["blip2"]
        assert isinstance(spec, ImportSource)
        uids = random_uids(np.random.default_rng(0), args.rows)
        write_drop(folder / "drop.csv", uids)
        write_pool(project, uids[: int(args.rows * SHARE)])
        print(f"drop: {(folder / 'drop.csv').stat().st_size / 2**20:,.0f} MiB")
        report(project, spec)


if __name__ == "__main__":
    main()
