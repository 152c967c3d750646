"""Indexing a shard against iterating over it with webdataset, and memory against pool size.

Prints ratios measured in one run, on data that it writes into a temporary folder. Rounds of the
two sides alternate, and the median of the rounds' ratios counts, so that a busy machine slows both.

    python benchmarks/index_shards.py [--samples 2000] [--side 256] [--rounds 5]
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from verdicts import machine, verdict

from recap_assets.pool.kinds.webdataset import WebDatasetPool
from recap_assets.shards.files import LocalFile
from recap_assets.shards.indexing import index_shard
from recap_assets.shards.manifest import assign, list_shards
from recap_assets.shards.tar_index import group_members, index_tar

TARGET = 2.0
TARGET_GROWTH = 1.1
POOL_SIZES = (1, 10, 50)
SAMPLES_OF_MEMORY_SHARDS = 200
LONG_SHARD = 20
"""Samples of the long shard, in those of the others."""


def write_shard(path: Path, samples: int, side: int, seed: int) -> None:
    """A shard as img2dataset writes them: smooth random pictures of side x side pixels."""
    random = np.random.default_rng(seed)
    with tarfile.open(path, "w") as tar:
        for i in range(samples):
            coarse = random.integers(0, 255, (12, 12, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
            encoded = io.BytesIO()
            image.save(encoded, "JPEG", quality=90)
            facts = {"uid": random.bytes(16).hex(), "url": f"https://example.org/{i}.jpg"}
            members = {
                "jpg": encoded.getvalue(),
                "txt": f"picture {i}".encode(),
                "json": json.dumps(facts).encode(),
            }
            for extension, data in members.items():
                info = tarfile.TarInfo(f"{i:09d}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def seconds(work: Callable[[], int]) -> float:
    """CPU seconds: both sides run in one thread, and other programs do not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(name: str, ours: Callable[[], int], theirs: Callable[[], int], rounds: int) -> float:
    """Print and return how many times faster `ours` is, the median over alternating rounds."""
    n, expected = ours(), theirs()
    if n != expected:
        raise SystemExit(f"{name}: {n} samples against {expected}")
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ratio = statistics.median(theirs / ours for ours, theirs in pairs)
    rates = [n / statistics.median(side) for side in zip(*pairs, strict=True)]
    print(f"{name}: {ratio:.1f} times webdataset ({rates[0]:,.0f} : {rates[1]:,.0f} a cpu-second)")
    return ratio


def headers(path: Path) -> int:
    file = LocalFile(path)
    try:
        return len(group_members(index_tar(file).members))
    finally:
        file.close()


def whole(folder: Path) -> int:
    """Index every shard of the folder in full; the number of good samples."""
    pool = WebDatasetPool(kind="webdataset", shards=str(folder))
    shards = assign(list_shards(pool), [])
    return sum(index_shard(shard, pool, None)["reject_reason"].is_null().sum() for shard in shards)


def webdataset(path: Path, decode: str | None) -> int:
    # Imported here for the sake of the processes that measure memory: it brings torch along.
    import webdataset as wds  # noqa: PLC0415

    dataset = wds.WebDataset(str(path), shardshuffle=False)
    return sum(1 for _ in (dataset.decode(decode) if decode else dataset))


def peak_memory(folder: Path) -> float:
    """Peak resident MiB of a fresh process that indexes the folder, the interpreter included.

    Linux's high-water mark of the process's own memory: getrusage would give the parent's too.
    """
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]);"
        "from pathlib import Path; from index_shards import whole; whole(Path(sys.argv[1]));"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    command = [sys.executable, "-c", script, str(folder), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def memory(root: Path, side: int) -> dict[int, float]:
    for name, samples in (("original", 1), ("long", LONG_SHARD)):
        write_shard(root / f"{name}.tar", samples * SAMPLES_OF_MEMORY_SHARDS, side, seed=1)
    original = root / "original.tar"
    peaks: dict[int, float] = {}
    for shards in POOL_SIZES:
        folder = root / f"pool_{shards}"
        folder.mkdir()
        for i in range(shards):
            (folder / f"{i:08d}.tar").hardlink_to(original)
        peaks[shards] = peak_memory(folder)
        print(f"peak memory, {shards} shards: {peaks[shards]:.0f} MiB")
    folder = root / "pool_long"
    folder.mkdir()
    (folder / "0.tar").hardlink_to(root / "long.tar")
    print(f"peak memory, one shard {LONG_SHARD} times as long: {peak_memory(folder):.0f} MiB")
    growth = peaks[POOL_SIZES[-1]] / peaks[POOL_SIZES[0]]
    print(f"peak memory, {POOL_SIZES[-1]} shards against one: {growth:.2f} times")
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2_000, help="samples of the timed shard")
    parser.add_argument("--side", type=int, default=256, help="side of its pictures, in pixels")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(machine())
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder = root / "timed"
        folder.mkdir()
        tar = folder / "00000000.tar"
        write_shard(tar, arguments.samples, arguments.side, seed=0)
        by_headers = compare(
            "index by headers, against iterating",
            lambda: headers(tar), lambda: webdataset(tar, None), arguments.rounds,
        )  # fmt: skip
        in_full = compare(
            "whole index (decode, sha256, hash), against iterating and decoding",
            lambda: whole(folder), lambda: webdataset(tar, "rgb8"), arguments.rounds,
        )  # fmt: skip
        peaks = memory(root, arguments.side)
    growth = peaks[POOL_SIZES[-1]] / peaks[POOL_SIZES[0]]
    verdict("index by headers, processor time", by_headers, TARGET)
    verdict("whole index, processor time", in_full, TARGET)
    verdict("index, peak memory of 50 shards to one", growth, TARGET_GROWTH, at_most=True)


if __name__ == "__main__":
    main()
