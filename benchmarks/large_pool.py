"""A pool of many rows on one machine: its cut-off, its mix and its subset file, each streamed.

Writes the tables of a few partitions of raw texts and one score, and links the others to their
files, so that a billion rows take little disk and every row is read. Then each stage runs in a
process of its own, by the platform's code, on two sizes of pool:

- thresholds: the top 30 %, from the stored histograms and the scores of one bin;
- mix: the pairs of every partition, which are not written but for those that are linked;
- subset: DataComp's file of all pairs, sorted by merging; 32 bytes of disk a pair while it is made.

Processor seconds for a million rows should be equal on both, and memory, too.

    python benchmarks/large_pool.py [--partitions 32 320] [--rows 400_000] [--distinct 4]

1.28 billion rows: `--partitions 320 3_200`, 13 GB in the temporary folder and some two hours.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml
from mix_trial import OPEN_CLIP, REPOSITORY, Pool, link, scores_of
from verdicts import machine, verdict

from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES, SCORE_HISTOGRAMS
from recap_assets.defs.session import Session
from recap_assets.exports.declared import kinds_declared, own_folder
from recap_assets.graph.stage import Step
from recap_assets.mixes.assets import realise_cutoffs, select_pairs

MIX, EXPORT, SHARE = "best", "uids", 0.3
TABLES = (RAW_POOL, CLIP_SCORES, SCORE_HISTOGRAMS)
TARGET_GROWTH, TARGET_GIB = 1.2, 4.0


def session_of(folder: Path) -> Session:
    os.environ["RECAP_DATA"] = str(folder / "data")
    os.environ["DAGSTER_HOME"] = str(REPOSITORY)
    session = Session(folder / "large.yaml")
    session.export()
    return session


def write(folder: Path, partitions: int, rows: int, distinct: int) -> None:
    """The experiment and its tables."""
    pool = folder / "pool"
    pool.mkdir()
    for number in range(partitions):
        (pool / f"{number:08d}.tar").write_bytes(bytes(10_240))
    experiment = {
        "name": "large",
        "pool": {"kind": "webdataset", "shards": str(pool), "shards_per_partition": 1},
        "scorers": {"clip": OPEN_CLIP},
        "mixes": {MIX: {"scorer": "clip", "rules": [{"use": "raw", "where": {"top": SHARE}}]}},
        "exports": {EXPORT: {"mix": MIX, "to": "subset"}},
        "evaluation": {"tasks": {"coarse": {"kind": "embedded", "task": "coarse"}}},
    }
    (folder / "large.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    session = session_of(folder)
    session.create_tables()
    tables, keys = session.project.workspace.tables, list(session.project.partitions)
    made = Pool(tables, rows, [("clip", "raw")])
    for partition in keys[:distinct]:
        made.write(partition)
    for table in TABLES:
        link(tables, table, keys, distinct)


def thresholds(session: Session) -> int:
    found = realise_cutoffs(session.project, MIX).frame
    session.project.workspace.tables.replace(THRESHOLDS, {"mix": MIX}, found)
    return int(found["n_at_or_above"].item())


def mix(session: Session, distinct: int) -> int:
    n, tables = 0, session.project.workspace.tables
    for number, partition in enumerate(session.project.partitions):
        found = select_pairs(session.project, MIX, Step(partition)).frame
        n += found.height
        if number < distinct:
            tables.replace(CURATED_MIXES, {"mix": MIX, "partition": partition}, found)
    link(tables, CURATED_MIXES, list(session.project.partitions), distinct)
    return n


def subset(session: Session) -> int:
    folder = own_folder(session.project, EXPORT)
    kinds_declared(session.project)[EXPORT].write(session.project, folder, lambda _n: None)
    (path,) = session.project.workspace.root.rglob("sample_ids_raw.npy")
    uids = np.load(path, mmap_mode="r")
    for start in range(0, len(uids), 1 << 20):
        first = uids["f0"][start : start + (1 << 20) + 1]
        if (first[1:] < first[:-1]).any():
            raise SystemExit("the file is not sorted")
    return len(uids)


class PeakMemory:
    """The most memory of this process that is no file's, looked up ten times a second."""

    def __init__(self) -> None:
        self.gib, self._is_over = 0.0, threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def _watch(self) -> None:
        while not self._is_over.wait(0.1):
            status = Path("/proc/self/status").read_text()
            self.gib = max(self.gib, int(status.split("RssAnon:")[1].split()[0]) / 2**20)

    def close(self) -> None:
        self._is_over.set()
        self._watching.join()


def one_stage(name: str, folder: Path, distinct: int) -> None:
    """Run a stage, and print what it took as JSON."""
    session = session_of(folder)
    stages: dict[str, Callable[[], int]] = {
        "thresholds": lambda: thresholds(session),
        "mix": lambda: mix(session, distinct),
        "subset": lambda: subset(session),
    }
    memory, started = PeakMemory(), time.process_time()
    n = stages[name]()
    cpu = time.process_time() - started
    memory.close()
    print(json.dumps({"cpu": cpu, "gib": memory.gib, "n": n}))


def measured(name: str, folder: Path, args: argparse.Namespace) -> dict[str, float]:
    options = ["--stage", name, "--folder", str(folder), "--distinct", str(args.distinct)]
    done = subprocess.run(
        [sys.executable, __file__, *options],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def plain_count(session: Session, rows: int, distinct: int) -> int:
    """Pairs of the top share, by DataComp's own rule on all scores; each is there as often."""
    keys = list(session.project.partitions)
    parts = (scores_of("clip", "raw", key, rows).to_numpy() for key in keys[:distinct])
    scores = np.concatenate(list(parts))
    times = len(keys) // distinct
    at = int(len(scores) * times * SHARE) // times
    return int((scores >= -np.sort(-scores)[at]).sum()) * times


def of_size(partitions: int, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    n = partitions * args.rows
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder, partitions, args.rows, args.distinct)
        found = {name: measured(name, folder, args) for name in ("thresholds", "mix", "subset")}
        expected = plain_count(session_of(folder), args.rows, args.distinct)
    for name, took in found.items():
        if took["n"] != expected:
            raise SystemExit(f"{name}: {took['n']:,.0f} pairs, and {expected:,} by a plain sort")
        print(
            f"{n:,} rows, {name}: {took['cpu']:.1f} s of processor time, "
            f"{took['cpu'] / n * 1e6:.2f} for a million, {took['gib']:.2f} GiB",
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--partitions", type=int, nargs=2, default=[32, 320])
    parser.add_argument("--rows", type=int, default=400_000, help="of a partition")
    parser.add_argument("--distinct", type=int, default=4, help="partitions that are written")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        one_stage(args.stage, args.folder, args.distinct)
        return
    if any(n % args.distinct for n in args.partitions):
        parser.error("--distinct divides --partitions")
    print(machine())
    few, many = (of_size(partitions, args) for partitions in args.partitions)
    times = args.partitions[1] / args.partitions[0]
    n = f"{args.partitions[1] * args.rows:,} rows"
    for name in few:
        grown = many[name]["cpu"] / few[name]["cpu"] / times
        verdict(f"{name}, {n}, time for each", grown, TARGET_GROWTH, at_most=True)
        verdict(f"{name}, {n}, GiB", many[name]["gib"], TARGET_GIB, at_most=True)


if __name__ == "__main__":
    main()
