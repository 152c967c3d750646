"""`recap mix try` on 12.8 million images with ten score columns and five mixes.

Writes made-up tables of 32 partitions with 400,000 images each: raw texts and one captioner's
texts, the scores of both by four scorers and those of the texts by one more, scores of the images
alone, histograms. 128 million scores in ten columns. Five mixes read them all: the best by one
network, two kinds of score at once, the best tenth of a best-of, a transferred cut-off, and a draw
with repeats. Then `recap mix try` is timed as a process, from its start to its end, with its peak
memory; and its counts are compared with those of a plain computation with numpy.

    python benchmarks/mix_trial.py [--images 12_800_000] [--partitions 32] [--rounds 3] [--keep DIR]
        [--distinct 32]

With `--distinct 4`, four partitions are written, and the others are links to their files, which
takes an eighth of the time and of the disk. Nothing of a trial compares partitions with each other.

On 2026-11-28, AMD EPYC, 2 idle cores, `--distinct 4`: 17.2 s (15.6 to 17.8), 23.6 s of processor
time, 1.1 GiB.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pyarrow as pa
import yaml
from deltalake.transaction import AddAction
from verdicts import machine, verdict

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.histograms import score_histogram
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_SCORES, SCORE_HISTOGRAMS
from recap_assets.artefacts.table import STATUS_OK, Table
from recap_assets.defs.session import Session
from recap_assets.storage.tables import TableStore

TARGET_SECONDS = 30.0
TARGET_GIB = 4.0
REPOSITORY = Path(__file__).parents[1]
SCORERS = ("clip", "itm", "dfn", "referee")
COLUMNS = (*((scorer, source) for scorer in SCORERS for source in ("raw", "blip")), ("flyt", "raw"))
"""And `beauty`, of the images."""

TEXTS = pl.Series([f"a {a} {b} in {c}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvwx"])
OPEN_CLIP = {"kind": "open_clip", "model": "ViT-L-14", "pretrained": "openai"}
MIXES = {
    "dfn": {"rules": [{"use": "raw", "where": {"top": 0.15, "of": "dfn.raw"}}]},
    "pretty": {
        "rules": [
            {"use": "raw", "where": {"all": [{"top": 0.5}, {"at_least": 5.2, "of": "beauty"}]}}
        ]
    },
    "aligned": {
        "rules": [
            {
                "use": {"best_of": ["raw", "blip"], "scorer": "referee"},
                "where": {"top": 0.1, "of": "referee.used"},
            }
        ]
    },
    "transferred": {
        "rules": [
            {"use": "raw", "where": {"top": 0.3, "of": "itm.raw"}},
            {
                "use": "blip",
                "where": {
                    "all": [
                        {"at_least": {"top": 0.3, "of": "itm.raw"}, "of": "itm.blip"},
                        {"top": 0.9, "of": "dfn.blip"},
                    ]
                },
            },
        ]
    },
    "copied": {"rules": [{"use": "raw"}]},
}
COPIES = {"of": "flyt.raw", "cap": 50, "penalty": 0.15, "temperature": 0.05}
"""Of the last one, as many as there are images."""


def mixes(images: int) -> Mapping[str, Mapping[str, object]]:
    copied = {**MIXES["copied"], "copies": {**COPIES, "size": images}}
    return {**MIXES, "copied": copied}


def experiment(folder: Path, images: int) -> Mapping[str, object]:
    return {
        "name": "tried",
        "pool": {"kind": "webdataset", "shards": str(folder / "pool"), "shards_per_partition": 1},
        "sources": {"blip": {"kind": "transformers", "model": "Salesforce/blip-image-captioning"}},
        "scorers": dict.fromkeys((*SCORERS, "flyt"), OPEN_CLIP),
        "image_scorers": {
            "beauty": {"kind": "embedding_head", "scorer": "clip", "weights": "x.safetensors"}
        },
        "mixes": {name: {"scorer": "clip", **mix} for name, mix in mixes(images).items()},
        "evaluation": {"tasks": {"coarse": {"kind": "embedded", "task": "coarse"}}},
    }


class Pool:
    """The made-up tables, a partition at a time."""

    def __init__(
        self, tables: TableStore, rows: int, columns: Sequence[tuple[str, str]] = COLUMNS
    ) -> None:
        self._tables, self._rows, self._columns = tables, rows, columns

    def write(self, partition: str) -> None:
        images = self._images(partition)
        self._write_texts(partition, images)
        keys = images.with_columns(candidate=pl.lit(0, pl.Int16))
        for scorer, source in self._columns:
            at = {"scorer": scorer, "source": source, "partition": partition}
            rows = keys.with_columns(score=scores_of(scorer, source, partition, self._rows))
            self._tables.replace(CLIP_SCORES, at, rows)
            self._tables.replace(SCORE_HISTOGRAMS, at, score_histogram(rows["score"]))
        beauty = images.with_columns(score=scores_of("beauty", "", partition, self._rows))
        self._tables.replace(IMAGE_SCORES, {"scorer": "beauty", "partition": partition}, beauty)

    def _images(self, partition: str) -> pl.DataFrame:
        random = generator("uid", "", partition)
        packed = pa.py_buffer(random.bytes(16 * self._rows))
        array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), self._rows, [None, packed])
        shard = pl.lit(int(partition), pl.Int32)
        return pl.select(uid=pl.Series(array)).with_columns(shard=shard)

    def _write_texts(self, partition: str, images: pl.DataFrame) -> None:
        random = generator("texts", "", partition)
        texts = [TEXTS[pl.Series(random.integers(0, len(TEXTS), self._rows))] for _ in range(2)]
        usual = {"key": "k", "status": STATUS_OK, "candidate": 0, "sha256": bytes(32)}
        for table, text, at in (
            (RAW_POOL, texts[0], {}),
            (SYNTHETIC_CAPTIONS, texts[1], {"source": "blip"}),
        ):
            held = {"uid": images["uid"], "shard": images["shard"], "text": text}
            rows = pl.select(
                held.get(name, pl.lit(usual.get(name), dtype)).alias(name)
                if name in held or name in usual or table.columns[name].nullable
                else pl.lit(_some(dtype), dtype).alias(name)
                for name, dtype in table.unsliced.items()
            )
            self._tables.replace(table, {**at, "partition": partition}, rows)


def link(tables: TableStore, table: Table, partitions: Sequence[str], distinct: int) -> None:
    """Give the partitions after the first ones the rows of these, in turn, by links to files."""
    root, actions = Path(tables.uri(table)), list[AddAction]()
    for log in sorted((root / "_delta_log").glob("*.json")):
        for entry in map(json.loads, log.read_text().splitlines()):
            add = entry.get("add")
            number = int(add["partitionValues"]["partition"]) if add else len(partitions)
            for key in partitions[number + distinct :: distinct]:
                path = add["path"].replace(f"partition={partitions[number]}", f"partition={key}")
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).hardlink_to(root / add["path"])
                at = {**add["partitionValues"], "partition": key}
                action = (path, add["size"], at, add["modificationTime"], True, add["stats"])
                actions.append(AddAction(*action))
    delta = tables.open(table)
    delta.create_write_transaction(actions, "append", delta.schema(), list(table.slices))


def _some(dtype: object) -> object:
    return b"0" * 32 if dtype == pl.Binary else "" if dtype == pl.String else 0


def generator(scorer: str, source: str, partition: str) -> np.random.Generator:
    return np.random.default_rng([*f"{scorer} {source}".encode(), int(partition)])


def scores_of(scorer: str, source: str, partition: str, rows: int) -> pl.Series:
    centre, width = (5.0, 1.0) if scorer == "beauty" else (0.22, 0.05)
    random = generator(scorer, source, partition)
    return pl.Series(random.normal(centre, width, rows).astype(np.float32))


def tried(session: Session) -> tuple[float, float, float, list[dict[str, object]]]:
    """Seconds, those of processor time, peak memory in GiB, and what `recap mix try` prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        sys.executable, "-c", _MEASURED, "-e", str(session.path), "mix", "try",
        "--json",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode:
        raise SystemExit(f"recap mix try failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    peak = float(done.stderr.rsplit("VmHWM", 1)[1].split()[0])
    return seconds, processor, peak / 2**20, json.loads(done.stdout)


_MEASURED = """
import atexit, sys
from pathlib import Path

def peak():
    line = next(l for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l)
    print("VmHWM", line.split()[1], file=sys.stderr)

atexit.register(peak)
from recap_assets.cli.main import main
main()
"""


def plain_counts(partitions: list[str], rows: int, distinct: int) -> Mapping[str, int]:
    """Pairs of the mixes whose formulas are a line each, with numpy over all scores."""

    def column(scorer: str, source: str = "") -> np.ndarray:
        parts = (scores_of(scorer, source, key, rows).to_numpy() for key in partitions[:distinct])
        return np.tile(np.concatenate(list(parts)), len(partitions) // distinct)

    def cut(scores: np.ndarray, fraction: float) -> np.float32:
        n = int(len(scores) * fraction)
        return np.partition(scores, len(scores) - 1 - n)[len(scores) - 1 - n]

    dfn = column("dfn", "raw")
    found = {"dfn": int((dfn >= cut(dfn, 0.15)).sum())}
    clip = column("clip", "raw")
    pretty = (clip >= cut(clip, 0.5)) & (column("beauty") >= np.float32(5.2))
    found["pretty"] = int(pretty.sum())
    best = np.maximum(column("referee", "raw"), column("referee", "blip"))
    found["aligned"] = int((best >= cut(best, 0.1)).sum())
    itm, dfn = column("itm", "raw"), column("dfn", "blip")
    at = cut(itm, 0.3)
    second = (column("itm", "blip") >= at) & (dfn >= cut(dfn, 0.9))
    found["transferred"] = int(((itm >= at) | second).sum())
    return found


def measure(folder: Path, args: argparse.Namespace) -> None:
    rows = args.images // args.partitions
    pool = folder / "pool"
    is_new = not pool.exists()
    pool.mkdir(exist_ok=True)
    for number in range(args.partitions if is_new else 0):
        (pool / f"{number:08d}.tar").write_bytes(bytes(10_240))
    file = folder / "tried.yaml"
    file.write_text(yaml.safe_dump(experiment(folder, args.images), sort_keys=False))
    os.environ["RECAP_DATA"] = str(folder / "data")
    os.environ["DAGSTER_HOME"] = str(REPOSITORY)
    session = Session(file)
    session.export()
    partitions = list(session.project.partitions)
    started = time.perf_counter()
    if is_new:
        session.create_tables()
        made = Pool(session.project.workspace.tables, rows)
        for partition in partitions[: args.distinct]:
            made.write(partition)
        for table in (RAW_POOL, SYNTHETIC_CAPTIONS, CLIP_SCORES, SCORE_HISTOGRAMS, IMAGE_SCORES):
            link(session.project.workspace.tables, table, partitions, args.distinct)
    print(f"tables written in {time.perf_counter() - started:.0f} s", flush=True)
    runs = []
    for _ in range(args.rounds):
        runs.append(tried(session))
        seconds, processor, gib, _ = runs[-1]
        of = f"{seconds:.1f} s, {processor:.1f} s of processor time, {gib:.2f} GiB"
        print(f"recap mix try: {of}", flush=True)
    counts = {str(row["mix"]): row["n_pairs"] for row in runs[0][3]}
    for mix, wanted in plain_counts(partitions, rows, args.distinct).items():
        if counts[mix] != wanted:
            raise SystemExit(f"{mix}: {counts[mix]} pairs, and {wanted} by the plain computation")
    for row in _shown(runs[0][3]):
        print(row)
    what = f"mix try on {args.images / 1e6:.3g} M images, ten columns, five mixes"
    seconds = statistics.median(run[0] for run in runs)
    verdict(f"{what}, seconds", seconds, TARGET_SECONDS, at_most=True)
    processor = statistics.median(run[1] for run in runs) / 2
    verdict(f"{what}, processor time / 2 cores", processor, TARGET_SECONDS, at_most=True)
    verdict(f"{what}, GiB", max(run[2] for run in runs), TARGET_GIB, at_most=True)


def _shown(rows: list[dict[str, object]]) -> Iterator[str]:
    for row in rows:
        yield f"{row['mix']}: {row['n_pairs']:,} pairs, {row['n_copies']:,} copies"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=12_800_000)
    parser.add_argument("--partitions", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--distinct", type=int, default=32, help="partitions that are written")
    parser.add_argument("--keep", type=Path, help="a folder for the tables: kept, and used again")
    args = parser.parse_args()
    args.distinct = min(args.distinct, args.partitions)
    if args.partitions % args.distinct:
        parser.error("--distinct divides --partitions")
    print(machine())
    print(f"load: {', '.join(f'{one:.1f}' for one in os.getloadavg())}")
    if args.keep:
        measure(args.keep, args)
        return
    with TemporaryDirectory() as scratch:
        measure(Path(scratch), args)


if __name__ == "__main__":
    main()
