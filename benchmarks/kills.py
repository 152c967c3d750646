"""kill -9 at random moments of builds: is everything readable, does the next build end the same?

Builds the tiny experiment once undisturbed, then again and again, killing the whole process group
of `recap build` (driver and workers) after a random part of the undisturbed build's time. After
each kill every table is read in plain polars, Dagster's SQLite files are checked, and what was
recorded before must still be recorded. A build that gets through before its kill is compared with
the undisturbed one, and so is the last one, which is built to its end: data versions of all
partitions and content hashes of all tables. Exits with an error at the first thing that differs.

    python benchmarks/kills.py [--kills 50] [--seed 0] [--jobs 2]
"""

import argparse
import sys
import time
from itertools import count, takewhile
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from verdicts import machine, verdict

sys.path.insert(0, str(Path(__file__).parents[1]))

from recap_assets_tests.killed_builds import KilledBuild, contents_of, kill_until_built
from recap_assets_tests.tiny import EXPERIMENT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    print(machine())
    with TemporaryDirectory() as scratch:

        def make(number: int) -> KilledBuild:
            return KilledBuild(Path(scratch) / str(number), EXPERIMENT, jobs=args.jobs)

        undisturbed = KilledBuild(Path(scratch) / "undisturbed", EXPERIMENT, jobs=args.jobs)
        started = time.monotonic()
        undisturbed.finish()
        seconds = time.monotonic() - started
        partitions = len(undisturbed.versions())
        print(f"undisturbed: {partitions} partitions in {seconds:.1f} s", flush=True)
        random = Random(args.seed)
        n_killed = n_built = 0
        moments = takewhile(
            lambda _: n_killed < args.kills, (random.uniform(0.0, seconds) for _ in count())
        )
        contents = contents_of(undisturbed.workspace)
        for killed in kill_until_built(make, moments, undisturbed.versions(), contents):
            n_killed += not killed.finished
            n_built += killed.finished
            how = "finished before its kill" if killed.finished else f"kill {n_killed}"
            print(f"  {how} after {killed.after:5.1f} s: {killed.n_recorded} recorded", flush=True)
    print(f"{n_killed} kills, {n_built + 1} builds completed, each equal to the undisturbed one")
    verdict("kills after which all was readable and the end the same", n_killed / args.kills, 1.0)


if __name__ == "__main__":
    main()
