"""Near duplicates among simulated samples: by 64-bit hash, and by embedding within clusters.

Samples are drawn in parts of a million and searched by the platform's own code, each size in a
process of its own, which prints processor seconds and peak memory. One in twenty is a near copy of
another, and at least these are to be found. Beside faiss, on a size that it can do in a minute:

- hashes: its multi-index hashing (`IndexBinaryMultiHash`, four tables of 16 bits), the same pairs;
- embeddings: its inverted file (`IndexIVFFlat`, one list probed) with the same centroids, by range
  search, the same groups.

    python benchmarks/duplicates.py [--hashes 1_000_000 10_000_000] [--embeddings 50_000 500_000]
        [--clusters 200] [--dimension 768] [--beside 200_000 20_000]

A hundred million hashes: `--hashes 100_000_000`, 2.5 GB of memory. Ten million embeddings:
`--embeddings 10_000_000 --clusters 3_000`, 15 GB of disk in the temporary folder.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import polars as pl
import pyarrow as pa
from verdicts import machine, verdict

from recap_assets.artefacts.draws import mix64
from recap_assets.sets.kinds.unique import Unique, embeddings
from recap_assets.sets.kinds.unique.finding import alike_samples
from recap_assets.sets.kinds.unique.groups import Groups, duplicates
from recap_assets.sets.kinds.unique.hashes import near_pairs
from recap_assets.sets.kinds.unique.samples import PoolSamples

BITS, COSINE, COPIED = 6, 0.95, 20
PART = {"hashes": 1_000_000, "embeddings": 50_000}
TARGET_HASHES, TARGET_EMBEDDINGS, TARGET_GIB = 20.0, 1.0, 4.0


def uids_of(start: int, end: int) -> pl.Series:
    first = mix64(np.arange(start, end, dtype=np.uint64))
    packed = pa.py_buffer(np.stack([first, mix64(first)], axis=1).tobytes())
    return pl.Series(
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), end - start, [None, packed])
    )


def hashes_of(start: int, end: int) -> np.ndarray:
    """Spread numbers; every twentieth is another with up to three flipped bits."""
    numbers = np.arange(start, end, dtype=np.uint64)
    hashes = mix64(numbers ^ np.uint64(1 << 40))
    copies = numbers % COPIED == 0
    drawn = mix64(numbers[copies])
    others = drawn % np.maximum(numbers[copies], 1) // COPIED * COPIED + 1
    flipped = np.uint64(0)
    for i in (0, 6, 12):
        flipped |= np.uint64(1) << (drawn >> np.uint64(i) & np.uint64(63))
    hashes[copies] = mix64(others.astype(np.uint64) ^ np.uint64(1 << 40)) ^ flipped
    return hashes


def vectors_of(start: int, end: int, dimension: int) -> np.ndarray:
    """Around a thousand centres; every twentieth is one of its part with a little noise."""
    random = np.random.default_rng(start)
    centres = np.random.default_rng(0).normal(size=(1_000, dimension)).astype(np.float32)
    rows = 0.7 * random.standard_normal((end - start, dimension), np.float32)
    rows += centres[random.integers(0, 1_000, end - start)]
    copies = np.arange(0, end - start, COPIED)
    noise = 0.02 * random.standard_normal((len(copies), dimension), np.float32)
    rows[copies] = rows[np.minimum(copies + 1, end - start - 1)] + noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16)


def parts(kind: str, n: int, dimension: int, *, keyed: bool) -> Iterator[pl.DataFrame]:
    for start in range(0, n, PART[kind]):
        end = min(start + PART[kind], n)
        shard = np.full(end - start, start // PART[kind], np.int32)
        part = pl.DataFrame({"uid": uids_of(start, end), "shard": shard, "rank": shard.astype(int)})
        if keyed and kind == "hashes":
            part = part.with_columns(key=pl.Series(hashes_of(start, end).view(np.int64)))
        elif keyed:
            rows = pa.py_buffer(vectors_of(start, end, dimension).tobytes())
            width = pa.binary(2 * dimension)
            array = pa.FixedSizeBinaryArray.from_buffers(width, end - start, [None, rows])
            part = part.with_columns(key=pl.Series(array))
        yield part


def search(kind: str, n: int, clusters: int, dimension: int) -> None:
    """Search, and print what it took as JSON."""
    draw = partial(parts, kind, n, dimension)
    samples = PoolSamples(partial(draw, keyed=True), partial(draw, keyed=False))
    by = {"by": "perceptual", "bits": BITS} if kind == "hashes" else {
        "by": "embedding", "scorer": "l14", "cosine": COSINE, "clusters": clusters,
    }  # fmt: skip
    spec = Unique(kind="unique", **by)
    started, clock = time.process_time(), time.perf_counter()
    found = duplicates(alike_samples(samples, n, "simulated", spec, _no_texts))
    used = {"cpu": time.process_time() - started, "wall": time.perf_counter() - clock}
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    left_out = found.height - found["kept"].n_unique()
    if left_out < 0.98 * (n // COPIED):
        raise SystemExit(f"{left_out:,} of {n // COPIED:,} copies were found")
    print(json.dumps({**used, "gib": gib, "left_out": left_out}))


def _no_texts(_uids: pl.Series) -> np.ndarray:
    return np.empty((0, 2), np.int64)


def measured(kind: str, n: int, args: argparse.Namespace) -> dict[str, float]:
    options = ["--one", kind, str(n), "--clusters", str(args.clusters)]
    command = [sys.executable, __file__, *options, "--dimension", str(args.dimension)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2_000:])
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{n:,} {kind}: {found['cpu']:.1f} s of processor time ({found['wall']:.0f} by the clock), "
        f"{found['gib']:.2f} GiB, {found['left_out']:,} left out",
        flush=True,
    )
    return found


def growth(kind: str, sizes: list[int], args: argparse.Namespace) -> None:
    """How time and memory grow with the samples."""
    found = [measured(kind, n, args) for n in sizes]
    first, last, times = found[0], found[-1], sizes[-1] / sizes[0]
    if len(sizes) > 1:
        grown = last["cpu"] / first["cpu"] / times
        print(f"{times:g} times the {kind}: {grown:.2f} of the processor time for each")
    verdict(f"{sizes[-1]:,} {kind}, GiB", last["gib"], TARGET_GIB, at_most=True)


def hashes_beside_faiss(n: int) -> None:
    import faiss  # noqa: PLC0415 - an extra, and only the side that is compared with

    hashes = np.unique(hashes_of(0, n))
    started = time.process_time()
    ours = np.concatenate(list(near_pairs(hashes, BITS)))
    mine, started = time.process_time() - started, time.process_time()
    codes = hashes.view(np.uint8).reshape(-1, 8)
    index = faiss.IndexBinaryMultiHash(64, 4, 16)
    index.nflip = BITS // 4
    index.add(codes)
    limits, _, others = index.range_search(codes, BITS + 1)
    ones = np.repeat(np.arange(len(hashes)), np.diff(limits.astype(np.int64)))
    theirs = np.unique(np.stack([ones, others], axis=1)[others > ones], axis=0)
    taken = time.process_time() - started
    if not np.array_equal(np.unique(ours, axis=0), theirs):
        raise SystemExit("the pairs of hashes differ")
    print(f"{n:,} hashes, {len(theirs):,} pairs: {mine:.2f} s against {taken:.2f} s")
    verdict(f"pairs among {n:,} hashes, against faiss", taken / mine, TARGET_HASHES)


def embeddings_beside_faiss(n: int, clusters: int, dimension: int) -> None:
    import faiss  # noqa: PLC0415 - as above

    from recap_assets.engines.clustering import k_means  # noqa: PLC0415 - as above
    from recap_assets.sets.nearest import nearest_centroids  # noqa: PLC0415 - as above

    halves = vectors_of(0, n, dimension)
    rows = embeddings.unit(halves)
    centroids = k_means(rows[: 64 * clusters], clusters, iterations=5, seed=0)
    near, ours = nearest_centroids(rows, centroids), Groups(n)
    started = time.process_time()
    with embeddings.InvertedFile(clusters, dimension) as file:
        file.add(halves, near)
        for members in file.lists():
            embeddings.join_alike(members, COSINE, ours)
    mine = time.process_time() - started
    quantizer = faiss.IndexFlatIP(dimension)
    quantizer.add(centroids)
    index = faiss.IndexIVFFlat(quantizer, dimension, clusters, faiss.METRIC_INNER_PRODUCT)
    index.add(rows)
    started = time.process_time()
    limits, _, others = index.range_search(rows, COSINE)
    taken = time.process_time() - started
    ones = np.repeat(np.arange(n), np.diff(limits.astype(np.int64)))
    theirs = Groups(n)
    theirs.join(np.stack([ones, others], axis=1)[others > ones])
    every = np.arange(n)
    differing = int((ours.roots(every) != theirs.roots(every)).sum())
    print(f"{n:,} embeddings: {mine:.2f} s against {taken:.2f} s; {differing} differ")
    verdict(f"pairs among {n:,} embeddings, against faiss", taken / mine, TARGET_EMBEDDINGS)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hashes", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--embeddings", type=int, nargs="*", default=[50_000, 500_000])
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--beside", type=int, nargs=2, default=[200_000, 20_000])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        search(args.one[0], int(args.one[1]), args.clusters, args.dimension)
        return
    print(machine())
    hashes_beside_faiss(args.beside[0])
    n = args.beside[1]
    embeddings_beside_faiss(n, max(n // 1_000, 1), args.dimension)
    for kind in ("hashes", "embeddings"):
        if sizes := getattr(args, kind):
            growth(kind, sizes, args)


if __name__ == "__main__":
    main()
