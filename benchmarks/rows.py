"""Finding which rows of a source changed, as a build finds them before it asks a model.

A Delta table of captions in partitions of 125,000 rows; of each partition 1 in 100 images has
changed. `Reuse.divided` takes over what is the same: it reads the partition's own slice, hashes it,
and joins uid and input hash. Measured beside that, for one partition: all of its rows are in the
other slices, as after a renumbering; and none is anywhere, as in a first build, where the hashes of
all slices are searched for nothing. The last is set against captioning the partition at the rate
that a plan expects of a captioner. With --metaxy PYTHON, an interpreter that has metaxy, it finds
the same changes among the same frames: upstream versions in a Delta store, resolved against the
versions that were recorded (`benchmarks/rows_metaxy.py`).

    python benchmarks/rows.py [--rows 1_000_000 10_000_000] [--metaxy PYTHON]
"""

import argparse
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from verdicts import machine, verdict

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.captions.assets import captions_by_row
from recap_assets.captions.kind import SECONDS_PER_IMAGE
from recap_assets.graph.kept_rows import KeptSlice
from recap_assets.graph.reuse import Reuse
from recap_assets.storage.tables import TableStore

PER_PARTITION = 125_000
CHANGED = 100
"""One image in so many changed."""
MOST_SECONDS = {1_000_000: 2.0, 10_000_000: 20.0}
MOST_OVERHEAD = 0.03
MOST_MEGABYTES = 1_500
WORDS = np.array(["a dog", "two cats", "the sea", "a red house", "people", "snow", "a car", "food"])


def binary(content: bytes, size: int) -> pl.Series:
    """Values of one size, one after the other."""
    n = len(content) // size
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), n, [None, pa.py_buffer(content)])
    return pl.Series(pl.from_arrow(fixed.cast(pa.large_binary())))


def wanted(number: int, *, changes: bool = True) -> pl.DataFrame:
    """What a partition wants: shard, uid, input_hash; with `changes` some images have changed."""
    rng = np.random.default_rng(number)
    uids, hashes = (rng.bytes(16 * PER_PARTITION) for _ in range(2))
    frame = pl.DataFrame({"uid": binary(uids, 16), "input_hash": binary(hashes, 16)})
    other = binary(np.random.default_rng(-number + 10**6).bytes(16 * PER_PARTITION), 16)
    is_changed = pl.int_range(pl.len()) % CHANGED == 0
    hash_ = pl.when(is_changed).then(other).otherwise("input_hash") if changes else "input_hash"
    return frame.select(pl.lit(number, pl.Int32).alias("shard"), "uid", input_hash=hash_)


def captions(number: int) -> pl.DataFrame:
    """The captions of a partition before the change."""
    rows = wanted(number, changes=False)
    picked = np.random.default_rng(number).integers(0, len(WORDS), (3, rows.height))
    first, second, third = (pl.Series(WORDS[one]) for one in picked)
    return rows.with_columns(
        candidate=pl.lit(0, pl.Int16),
        text=first + " beside " + second + " and " + third,
        log_probability=pl.lit(-9.5, pl.Float32),
        n_tokens=pl.lit(12, pl.Int16),
        n_prompt_tokens=pl.lit(None, pl.Int32),
        status=pl.lit("ok"),
        reject_reason=pl.lit(None, pl.String),
        seconds=pl.lit(0.003, pl.Float32),
    )


def stored(tables: TableStore, n_partitions: int) -> list[KeptSlice]:
    """Write the captions; each slice as its receipt describes it."""
    found = []
    for number in range(n_partitions):
        at = {"source": "a", "partition": f"{number:05d}"}
        done = tables.replace(SYNTHETIC_CAPTIONS, at, captions(number))
        found.append(
            KeptSlice(
                tables, at, int(done.table_version or 0), None, done.data_version,
                PER_PARTITION, 1.0, "cpu", {}, "the present version",
            )
        )  # fmt: skip
    return found


@contextmanager
def timed(taken: dict[str, tuple[float, float]], name: str) -> Iterator[None]:
    """Seconds of the block, and those of all cores, added up under a name."""
    wall, cores = time.monotonic(), time.process_time()
    yield
    before = taken.get(name, (0.0, 0.0))
    taken[name] = (before[0] + time.monotonic() - wall, before[1] + time.process_time() - cores)


def left_of(rows: pl.DataFrame, find: Callable[[], Sequence[KeptSlice]]) -> int:
    """How many rows are to be computed."""
    by = captions_by_row(by_uid=True)
    return Reuse(by, find).divided(SYNTHETIC_CAPTIONS, rows, {})[1].height


def owned(kept: Sequence[KeptSlice], number: int) -> list[KeptSlice]:
    """The slices as the partition of this number finds them."""
    return [KeptSlice(**{**vars(one), "is_own": place == number}) for place, one in enumerate(kept)]


def measure(n_rows: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Seconds and seconds of all cores of each part."""
    n = n_rows // PER_PARTITION
    taken: dict[str, tuple[float, float]] = {}
    with timed(taken, "write"):
        kept = stored(TableStore(str(folder)), n)
    for number in range(n):
        rows = wanted(number)
        with timed(taken, "own"):
            n_left = left_of(rows, lambda number=number: [owned(kept, number)[number]])
        assert n_left == PER_PARTITION // CHANGED
    elsewhere = wanted(n // 2, changes=False)
    with timed(taken, "elsewhere"):
        assert left_of(elsewhere, lambda: kept) == 0
    nowhere = wanted(n + 1)
    with timed(taken, "nowhere"):
        assert left_of(nowhere, lambda: kept) == PER_PARTITION
    return taken


def by_metaxy(python: str, n_rows: int) -> dict[str, float]:
    """What metaxy takes for the same, as it prints it."""
    script = Path(__file__).with_name("rows_metaxy.py")
    command = [python, str(script), str(n_rows)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def report(n_rows: int, python: str | None) -> None:
    """Measure one size and print it."""
    with tempfile.TemporaryDirectory() as folder:
        taken = measure(n_rows, Path(folder))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, (wall, cores) in taken.items():
        print(f"{n_rows:,} rows, {name}: {wall:.2f} s, {cores:.2f} s of all cores", flush=True)
    print(f"{n_rows:,} rows: {megabytes:,.0f} MB at most", flush=True)
    # Two cores that nobody else uses take half of the seconds of all cores, and no less.
    seconds, limit = taken["own"][1] / 2, MOST_SECONDS.get(n_rows, n_rows * 2e-6)
    verdict(f"rows, what changed in {n_rows:,}: {seconds:.2f} s", seconds, limit, at_most=True)
    share = taken["nowhere"][1] / (PER_PARTITION * SECONDS_PER_IMAGE)
    what = f"rows, nothing to reuse among {n_rows:,}: share of captioning"
    verdict(what, share, MOST_OVERHEAD, at_most=True)
    verdict(f"rows, {n_rows:,}: megabytes", megabytes, MOST_MEGABYTES, at_most=True)
    if python is not None:
        theirs = by_metaxy(python, n_rows)
        print(f"{n_rows:,} rows, metaxy: {theirs}", flush=True)
        verdict(f"rows, metaxy / ours, {n_rows:,}", theirs["cores"] / taken["own"][1], 1.0)


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--metaxy", metavar="PYTHON")
    options = parser.parse_args()
    print(machine())
    for n_rows in options.rows:
        report(n_rows, options.metaxy)


if __name__ == "__main__":
    main()
