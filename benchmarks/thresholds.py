"""The exact cut-off of the top 30 % of 100 million scores, against DataComp's sort.

DataComp: `n = int(N * fraction); threshold = -np.sort(-scores)[n]`, the scores of all parts
concatenated. Three comparisons, in rounds that alternate:

- from files: both sides read the same float32 `.npy` files, this platform twice, a part at a time;
- with stored histograms: as the platform does it, where each part was counted when it was scored;
  the parts are read once, for the boundary bin. Counting is timed beside it;
- in memory: no reading on either side.

The peak memory is that of a fresh process that reads from files, beyond what its imports take.

    python benchmarks/thresholds.py [--scores 100_000_000] [--part 1_000_000] [--rounds 3]
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from verdicts import machine, verdict

from recap_assets.artefacts.histograms import score_histogram
from recap_assets.mixes.thresholds import cutoff_of_batches, exact_cutoff, rank_of_fraction

FRACTION = 0.3
TARGET_TIME = 4.0
TARGET_MEMORY = 0.1


class Parts:
    """Arrays in files, read anew whenever they are iterated over."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.npy"))

    def __iter__(self) -> Iterator[np.ndarray]:
        return (np.load(path) for path in self.paths)


def write_parts(folder: Path, n: int, part: int, *, quantised: bool) -> None:
    random = np.random.default_rng(0)
    for i, start in enumerate(range(0, n, part)):
        scores = random.normal(0.2, 0.05, min(part, n - start)).astype(np.float32)
        if quantised:
            scores = scores.astype(np.float16).astype(np.float32)
        np.save(folder / f"{i:05d}.npy", scores)


def datacomp(parts: Sequence[np.ndarray] | Parts) -> float:
    scores = np.concatenate(list(parts))
    n = int(len(scores) * FRACTION)
    return -np.sort(-scores)[n]


def streamed(parts: Sequence[np.ndarray] | Parts) -> float:
    return cutoff_of_batches(parts, FRACTION)


def counted(parts: Parts) -> pl.DataFrame:
    histogram = pl.concat([score_histogram(scores) for scores in parts])
    return histogram.group_by("bin").agg(pl.col("n").sum())


def from_histogram(histogram: pl.DataFrame, parts: Parts) -> float:
    def fetch(low: float, high: float) -> np.ndarray:
        return np.concatenate([s[(s >= np.float32(low)) & (s <= np.float32(high))] for s in parts])

    return exact_cutoff(histogram, fetch, rank_of_fraction(int(histogram["n"].sum()), FRACTION))


def seconds(work: Callable[[], float]) -> tuple[float, float]:
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value


def compare(
    name: str, ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> float:
    """Print and return how many times faster `ours` is, the median over alternating rounds."""
    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        (our_time, our_value), (their_time, their_value) = seconds(ours), seconds(theirs)
        if our_value != their_value:
            raise SystemExit(f"{name}: {our_value} against {their_value}")
        times.append((our_time, their_time))
    ratio = statistics.median(their_time / our_time for our_time, their_time in times)
    our_time, their_time = (statistics.median(side) for side in zip(*times, strict=True))
    print(
        f"{name}: {ratio:.1f} times DataComp's sort ({our_time:.2f} s against {their_time:.2f} s)"
    )
    return ratio


def compare_in_memory(parts: Sequence[np.ndarray], rounds: int) -> None:
    compare("in memory", lambda: streamed(parts), lambda: datacomp(parts), rounds)


def high_water_mib() -> float:
    """Linux's high-water mark of this process's own memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def peak_mib(side: str, folder: Path) -> float:
    command = [sys.executable, __file__, "--measure-memory", side, "--folder", str(folder)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure_memory(side: str, folder: Path) -> None:
    before = high_water_mib()
    {"ours": streamed, "theirs": datacomp}[side](Parts(folder))
    print(high_water_mib() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=int, default=100_000_000)
    parser.add_argument("--part", type=int, default=1_000_000, help="Scores of one file.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quantised", action="store_true", help="float16 values, as DataComp's.")
    parser.add_argument("--measure-memory", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure_memory:
        measure_memory(args.measure_memory, args.folder)
        return
    print(machine())
    with TemporaryDirectory() as root:
        folder = Path(root)
        write_parts(folder, args.scores, args.part, quantised=args.quantised)
        print(f"{args.scores:,} scores in {args.scores * 4 / 2**20:.0f} MiB")
        parts = Parts(folder)
        ratio = compare("from files", lambda: streamed(parts), lambda: datacomp(parts), args.rounds)
        counting, histogram = seconds(lambda: counted(parts))
        counted_ratio = compare(
            f"with stored histograms (counting them took {counting:.2f} s)",
            lambda: from_histogram(histogram, parts),
            lambda: datacomp(parts),
            args.rounds,
        )
        compare_in_memory(list(parts), args.rounds)
        ours, theirs = peak_mib("ours", folder), peak_mib("theirs", folder)
    print(f"peak memory: {ours:.0f} MiB against {theirs:.0f} MiB, {ours / theirs:.3f} of it")
    verdict("top 30 % threshold, from files", ratio, TARGET_TIME)
    verdict("top 30 % threshold, stored histograms", counted_ratio, TARGET_TIME)
    verdict("top 30 % threshold, memory", ours / theirs, TARGET_MEMORY, at_most=True)


if __name__ == "__main__":
    main()
