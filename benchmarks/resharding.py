"""A subset of a pool of tars into tars of its own, against webdataset and DataComp's resharder.

Ours begins with the pairs and the index of the pool in memory, as the tables have them, and reads
the chosen images by their places; each is verified by its sha256, and each tar hashed and synced.
webdataset's side is the loop that its documentation has for it: all tars read in order, the uid
looked up in a set, the sample's bytes written as they are by a ShardWriter. DataComp's resharder
is a program of its own: `--datacomp` names a checkout of it and `--python` an interpreter that has
what it imports. Its start takes longer than its work on a small pool, so what it takes for the
first tar alone is subtracted, and the images of the others count. Samples that ours writes have the
json of an export, with the captions; the others copy what was there.

Rounds alternate; rates are images written per second of processor time of all processes, times the
cores: what a machine that does nothing else would reach, were disks no limit.

    python benchmarks/resharding.py [--images 4000] [--rounds 3] [--share 1.0 0.3]
        [--datacomp FOLDER] [--python PYTHON]
"""

import argparse
import hashlib
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import webdataset as wds
from PIL import Image
from verdicts import machine, verdict

from recap_assets.artefacts.uids import write_subset
from recap_assets.exports.kinds.webdataset import WebDatasetExport
from recap_assets.exports.rows import cuts, export_rows
from recap_assets.exports.shards import write_shard
from recap_assets.pool.kinds.webdataset import WebDatasetPool
from recap_assets.shards.indexing import index_shard
from recap_assets.shards.manifest import Shard, assign, list_shards
from recap_assets.shards.reading import iterate_encoded
from recap_assets.storage.folders import Folder

RATE = 2_000.0
"""Images a second on two cores."""
AGAINST = 2.0
PER_TAR = 1_000
DISTINCT = 200
"""Pictures that are drawn; the samples of a pool differ in their uids."""


@dataclass(frozen=True)
class Pool:
    """Tars, and what the tables have of them."""

    folder: Path
    pool: WebDatasetPool
    shards: Mapping[int, Shard]
    index: pl.DataFrame


def pictures(side: int) -> list[bytes]:
    """JPEG files of smooth random pictures, about 25 kB each at 384 pixels."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(DISTINCT):
        coarse = random.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(
            buffer, "JPEG", quality=90
        )
        found.append(buffer.getvalue())
    return found


def write_tar(path: Path, images: list[bytes], random: np.random.Generator, n: int) -> None:
    """As img2dataset writes them."""
    with tarfile.open(path, "w") as tar:
        for i in range(n):
            facts = {
                "uid": random.bytes(16).hex(), "url": f"https://example.org/{i}.jpg",
                "caption": f"picture {i} of a dog on a beach in the evening sun", "width": 384,
                "height": 384, "status": "success",
            }  # fmt: skip
            members = {
                "jpg": images[i % len(images)],
                "json": json.dumps(facts).encode(),
                "txt": facts["caption"].encode(),
            }
            for extension, data in members.items():
                info = tarfile.TarInfo(f"{i:09d}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def pool_of(folder: Path, n_images: int, side: int) -> Pool:
    images, random = pictures(side), np.random.default_rng(1)
    folder.mkdir()
    sizes = {}
    for number, (start, end) in enumerate(cuts(n_images, PER_TAR)):
        sizes[f"{number:08d}.tar"] = end - start
        write_tar(folder / f"{number:08d}.tar", images, random, end - start)
    (folder / "sizes.json").write_text(json.dumps(sizes))
    pool = WebDatasetPool(kind="webdataset", shards=str(folder))
    shards = assign(list_shards(pool), [])
    index = pl.concat(index_shard(shard, pool, None) for shard in shards)
    return Pool(folder, pool, {shard.number: shard for shard in shards}, index)


def ours(pool: Pool, pairs: pl.DataFrame, into: Path) -> None:
    export = WebDatasetExport(mix="m", to="webdataset", samples_per_shard=PER_TAR)
    captions = pairs.select("uid", "source", "candidate", "text", "score")
    samples = export_rows(pairs, pool.index, captions, export).samples
    folder = Folder(str(into))
    for number, (start, end) in enumerate(cuts(samples.height, PER_TAR)):
        write_shard(
            folder,
            export.form(),
            number,
            samples[start:end],
            lambda rows: iterate_encoded(rows, pool.shards, pool.pool),
        )


def webdataset(pool: Pool, wanted: set[str], into: Path) -> None:
    tars = sorted(str(path) for path in pool.folder.glob("*.tar"))
    pattern = str(into / "%08d.tar")
    with wds.ShardWriter(pattern, maxcount=PER_TAR, encoder=False, verbose=0) as writer:
        for sample in wds.WebDataset(tars, shardshuffle=False):
            if json.loads(sample["json"])["uid"] in wanted:
                writer.write({k: v for k, v in sample.items() if k == "__key__" or k[0] != "_"})


def datacomp(command: list[str], pool: Pool, subset: Path, into: Path, *further: str) -> None:
    settings = ["-i", pool.folder, "-o", into, "-s", subset, "-j", "1", "--shard-size", PER_TAR]
    run([*command, *map(str, settings), *further])


def run(command: list[str]) -> None:
    """Run a program and say what it said where it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr}")


def processor() -> float:
    """Seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def seconds(work: Callable[[Path], None], into: Path) -> tuple[float, float]:
    """Processor time, and by the clock; what was written there before is removed first."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    start, wall = processor(), time.monotonic()
    work(into)
    return processor() - start, time.monotonic() - wall


def written(folder: Path) -> dict[str, str]:
    """Hash of the image by uid."""
    found = {}
    for path in sorted(folder.glob("*.tar")):
        for sample in wds.WebDataset(str(path), shardshuffle=False):
            uid = json.loads(sample["json"])["uid"]
            found[uid] = hashlib.sha256(sample["jpg"]).hexdigest()
    return found


def pairs_of(pool: Pool, share: float) -> pl.DataFrame:
    """A random part of the pool as a mix has it."""
    n = round(pool.index.height * share)
    chosen = pool.index.sample(n, seed=0).sort("shard", "uid")
    return chosen.select(
        "shard",
        "uid",
        "text",
        source=pl.lit("raw"),
        candidate=pl.lit(0, pl.Int16),
        score=pl.lit(0.25, pl.Float32),
        weight=pl.lit(1.0, pl.Float32),
        rule=pl.lit(0, pl.Int16),
    )


def compare(pool: Pool, share: float, rounds: int, command: list[str], root: Path) -> None:
    """Print the rates of all sides on a share of the pool, and ours against each other's."""
    pairs = pairs_of(pool, share)
    wanted = {uid.hex() for uid in pairs["uid"]}
    subset = root / "subset.npy"
    write_subset(subset, pairs["uid"])
    sides: dict[str, Callable[[Path], None]] = {
        "ours": lambda into: ours(pool, pairs, into),
        "webdataset": lambda into: webdataset(pool, wanted, into),
    }
    if command:
        sides["DataComp's"] = lambda into: datacomp(command, pool, subset, into)
    first = pairs.filter(pl.col("shard") == pairs["shard"].min()).height
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            used, wall = seconds(work, root / name)
            print(f"  {name}: {used:.2f} s of processor time, {wall:.1f} s", flush=True)
            n = len(wanted)
            if name == "DataComp's":
                alone, _ = seconds(
                    lambda into: datacomp(command, pool, subset, into, "-n", "1"), root / "first"
                )
                used, n = used - alone, n - first
            rates[name].append(n / used)
    contents = {name: written(root / name) for name in sides}
    if any(content != contents["ours"] for content in contents.values()) or (
        contents["ours"].keys() != wanted
    ):
        raise SystemExit("the tars differ in uids or images")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rate = statistics.median(rates["ours"]) * (cores or 1)
    verdict(f"resharding, {share:.0%} of the pool, images/s on {cores} cores", rate, RATE)
    for name in list(sides)[1:]:
        ratio = statistics.median(
            us / them for us, them in zip(rates["ours"], rates[name], strict=True)
        )
        verdict(f"the same, against {name}", ratio, AGAINST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4_000)
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, nargs="+", default=[1.0, 0.3])
    parser.add_argument("--datacomp", type=Path, help="a checkout with its resharder.py")
    parser.add_argument("--python", default=sys.executable, help="runs it")
    args = parser.parse_args()
    command = [args.python, str(args.datacomp / "resharder.py")] if args.datacomp else []
    with TemporaryDirectory() as name:
        root = Path(name)
        pool = pool_of(root / "pool", args.images, args.side)
        n_bytes = sum(path.stat().st_size for path in pool.folder.glob("*.tar"))
        print(f"{machine()}; {args.images:,} images, {n_bytes / args.images / 1e3:.0f} kB each")
        for share in args.share:
            print(f"{share:.0%} of them", flush=True)
            compare(pool, share, args.rounds, command, root)


if __name__ == "__main__":
    main()
