"""A pool of 12.8 million rows into a subset file, against DataComp's own loop.

DataComp, with uids as hex text: the rows at or above the cut-off,
`np.array([(int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids], "u8,u8")`, sorted, saved. This
platform, with uids as the 16 bytes of its tables: the mix decided, its uids sorted, saved; a second
line decodes hex text first. Both sides begin with uids and scores in memory and the cut-off known,
and their files are equal byte for byte. Rounds alternate; the median of their ratios counts, by the
clock, and by processor time, which a busy machine disturbs less.

    python benchmarks/selection.py [--rows 12_800_000] [--rounds 3]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from verdicts import machine, verdict

from recap_assets.artefacts.uids import from_hex, to_hex, write_subset
from recap_assets.mixes.cutoffs import realise
from recap_assets.mixes.images import Images
from recap_assets.mixes.score_view import ScoreView
from recap_assets.mixes.selection import decide
from recap_assets.specs.mixes import Mix

TARGET = 10.0
DTYPE = np.dtype("u8,u8")
MIXES = {
    "all rows": [{"use": "raw"}],
    "top 30 %": [{"use": "raw", "where": {"top": 0.3}}],
}


def pool_of(rows: int) -> pl.DataFrame:
    random = np.random.default_rng(0)
    halves = random.integers(0, 2**64, (rows, 2), dtype=np.uint64)
    return pl.DataFrame(
        {
            "uid": pl.Series(halves.view("V16").ravel().tolist(), dtype=pl.Binary),
            "shard": np.zeros(rows, np.int32),
            "source": "raw",
            "candidate": np.zeros(rows, np.int16),
            "score": random.normal(0.2, 0.05, rows).astype(np.float32),
        }
    )


def ours(mix: Mix, cutoffs: pl.DataFrame, pool: pl.DataFrame, path: Path) -> None:
    images = decide(mix, cutoffs, Images.for_mixes(pool, [mix]), {}).images
    write_subset(path, images["uid"].filter(images["accepted"]))


def ours_from_hex(mix: Mix, cutoffs: pl.DataFrame, pool: pl.DataFrame, path: Path) -> None:
    ours(mix, cutoffs, pool.with_columns(from_hex(pool["uid"])), path)


def datacomp(uids: np.ndarray, scores: np.ndarray, cutoff: float, path: Path) -> None:
    kept = uids[scores >= np.float32(cutoff)]
    array = np.array([(int(uid[:16], 16), int(uid[16:32], 16)) for uid in kept], DTYPE)
    array.sort()
    np.save(path, array)


def seconds(work: Callable[[], None]) -> tuple[float, float]:
    """By the clock, and of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def report(name: str, ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> float:
    """Print the median ratios; return the clock's."""
    wall, cpu = (
        statistics.median(them[i] / us[i] for us, them in zip(ours, theirs, strict=True))
        for i in (0, 1)
    )
    us, them = (statistics.median(side[0] for side in sides) for sides in (ours, theirs))
    print(
        f"{name}: {wall:.1f} times DataComp's loop ({us:.2f} s against {them:.2f} s; "
        f"processor time: {cpu:.1f} times)",
        flush=True,
    )
    return wall


def compare(name: str, rules: object, pool: pl.DataFrame, rounds: int) -> float:
    """Print both ratios of one mix; return that of uids as tables hold them."""
    mix = Mix.model_validate(rules)
    cutoffs = realise(mix, "l14", lambda _: ScoreView(lambda _: [pool]))
    lowest = cutoffs["value"][0] if cutoffs.height else -2.0
    hex_pool = pool.with_columns(to_hex(pool["uid"]))
    uids = np.array(hex_pool["uid"].to_list(), dtype=object)
    scores = pool["score"].to_numpy()
    times: list[list[tuple[float, float]]] = [[], [], []]
    with TemporaryDirectory() as folder:
        mine, decoded, theirs = (Path(folder) / f"{who}.npy" for who in ("mine", "hex", "theirs"))
        for _ in range(rounds):
            times[0].append(seconds(lambda: ours(mix, cutoffs, pool, mine)))
            times[1].append(seconds(lambda: ours_from_hex(mix, cutoffs, hex_pool, decoded)))
            times[2].append(seconds(lambda: datacomp(uids, scores, lowest, theirs)))
            if not mine.read_bytes() == decoded.read_bytes() == theirs.read_bytes():
                raise SystemExit(f"{name}: the files differ")
    report(f"{name}, from hex text", times[1], times[2])
    return report(name, times[0], times[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=12_800_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(machine())
    print(f"{args.rows:,} rows")
    pool = pool_of(args.rows)
    for name, rules in MIXES.items():
        verdict(f"subset file, {name}", compare(name, rules, pool, args.rounds), TARGET)


if __name__ == "__main__":
    main()
