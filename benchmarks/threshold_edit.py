"""The edit of one threshold on a pool of 12.8 million scored captions, to the last commit.

Writes made-up but realistic tables (raw texts with urls and hashes, one captioner's texts, scores
of both, histograms) of 16 partitions with 400,000 images each, and the events that a real build of
them would have left. A mix takes the raw text where it is among the best 30 %, else the synthetic
one; another mix stands beside it. Both are built; then 30 % is edited to 25 %, and `recap build`
is timed from its start as a process to its end: imports, plan, cut-offs, every partition of the mix
selected, written and committed, checks. Then all is looked at with plain polars: the cut-off, the
pairs of each source, which tables had commits.

A package `torch` that refuses to be imported comes first on the path of the timed process and its
workers, so a build that loaded a model would fail.

    python benchmarks/threshold_edit.py [--images 6_400_000] [--partitions 16] [--jobs 2] [--rounds 3]
"""  # noqa: E501 - the command is one line

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import numpy as np
import polars as pl
import pyarrow as pa
import yaml
from verdicts import machine, verdict

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.histograms import score_histogram
from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES, SCORE_HISTOGRAMS
from recap_assets.artefacts.table import STATUS_OK
from recap_assets.defs.assets import assets_of
from recap_assets.defs.session import Session
from recap_assets.graph.node import Graph, Outcome, Step
from recap_assets.storage.tables import TableStore

TARGET_SECONDS = 15.0
REPOSITORY = Path(__file__).parents[1]
TOP, EDITED_TOP = 0.3, 0.25
WORDS = (
    "red blue old small large wooden photo image of a the on in with and dog cat bicycle kitchen "
    "table street mountain beach vintage new free shipping sale buy online men women shirt shoes "
    "car engine flower garden house window night morning snow river bridge tower people standing "
    "sitting next to white black green background close up view from above city park tree bird"
)
PHRASES = 4_000


def experiment(folder: Path, top: float) -> Mapping[str, object]:
    rules = [{"use": "raw", "where": {"top": top}}, {"use": "blip"}]
    return {
        "name": "edit",
        "pool": {"kind": "webdataset", "shards": str(folder / "pool")},
        "sources": {"blip": {"kind": "transformers", "model": "Salesforce/blip-image-captioning"}},
        "scorers": {"l14": {"kind": "open_clip", "model": "ViT-L-14", "pretrained": "openai"}},
        "mixes": {
            "edited": {"rules": rules},
            "beside": [{"use": "raw", "where": {"top": TOP}}],
        },
        "evaluation": {"tasks": {"coarse": {"kind": "embedded", "task": "coarse"}}},
    }


class Pool:
    """The made-up tables, a partition at a time."""

    def __init__(self, tables: TableStore, rows: int) -> None:
        self._tables = tables
        self._rows = rows
        random = np.random.default_rng(0)
        phrases = [
            " ".join(random.choice(WORDS.split(), random.integers(3, 8))) for _ in range(PHRASES)
        ]
        self._phrases = pl.Series(phrases)

    def writers(self) -> Mapping[str, Callable[[Step], Outcome]]:
        """What stands in for the computation of each asset before the mixes."""
        return {
            "raw_pool": self.raw_pool,
            "synthetic_captions/blip": self.captions,
            "image_embeddings/l14": lambda step: Outcome(f"made up {step.partition}", 0),
            "clip_scores/l14/raw": lambda step: self.scores("raw", step),
            "clip_scores/l14/blip": lambda step: self.scores("blip", step),
        }

    def raw_pool(self, step: Step) -> Outcome:
        random, n = self._random("raw_pool", step), self._rows
        rows = self._images(step).with_columns(
            key=pl.int_range(n).cast(pl.String).str.zfill(9),
            offset=pl.int_range(n, dtype=pl.Int64) * 40_960,
            size=pl.Series(random.integers(4_000, 40_000, n)),
            image_format=pl.lit("JPEG"),
            width=pl.lit(512, pl.Int32),
            height=pl.lit(384, pl.Int32),
            original_width=pl.lit(1024, pl.Int32),
            original_height=pl.lit(768, pl.Int32),
            text=self._texts(random, 2).set(pl.Series(random.random(n) < 0.03), None),
            text_note=pl.lit(None, pl.String),
            original_sha256=pl.lit(None, pl.Binary),
            url=pl.Series(self._phrases.str.replace_all(" ", "/")[_draw(random, n)]),
            sha256=_bytes(random, n, 32),
            perceptual_hash=pl.Series(random.integers(-(2**62), 2**62, n)),
            status=pl.when(self._usable(step))
            .then(pl.lit(STATUS_OK))
            .otherwise(pl.lit("rejected")),
        )
        bad = pl.col("status") != STATUS_OK
        reason = pl.when(bad).then(pl.lit("image_corrupt"))
        written = self._tables.replace(
            RAW_POOL, {"partition": step.partition}, rows.with_columns(reject_reason=reason)
        )
        return Outcome(written.data_version, n, written=(written,))

    def captions(self, step: Step) -> Outcome:
        random, n = self._random("captions", step), self._rows
        rows = (
            self._images(step)
            .with_columns(
                candidate=pl.lit(0, pl.Int16),
                text=self._texts(random, 2),
                log_probability=pl.Series(random.normal(-20, 4, n).astype(np.float32)),
                n_tokens=pl.Series(random.integers(5, 40, n).astype(np.int16)),
                n_prompt_tokens=pl.lit(None, pl.Int32),
                status=pl.lit(STATUS_OK),
                reject_reason=pl.lit(None, pl.String),
                seconds=pl.lit(0.01, pl.Float32),
            )
            .filter(self._usable(step))
        )
        at = {"source": "blip", "partition": step.partition}
        written = self._tables.replace(SYNTHETIC_CAPTIONS, at, rows)
        return Outcome(written.data_version, n, written=(written,))

    def scores(self, source: str, step: Step) -> Outcome:
        random, n = self._random(source, step), self._rows
        values = pl.Series(random.normal(0.22, 0.05, n).astype(np.float32))
        rows = self._images(step).with_columns(candidate=pl.lit(0, pl.Int16), score=values)
        rows = rows.filter(self._usable(step))
        if source == "raw":
            pool = self._tables.read(RAW_POOL, partition=step.partition)
            has_text = pl.col("text").is_not_null()
            rows = rows.join(pool.select("uid", "text"), on="uid")
            rows = rows.with_columns(score=pl.when(has_text).then("score")).drop("text")
        at = {"scorer": "l14", "source": source, "partition": step.partition}
        counted = self._tables.replace(SCORE_HISTOGRAMS, at, score_histogram(rows["score"]))
        written = self._tables.replace(CLIP_SCORES, at, rows)
        return Outcome(written.data_version, rows.height, written=(written, counted))

    def _images(self, step: Step) -> pl.DataFrame:
        random = self._random("uid", step)
        shard = pl.lit(int(step.partition), pl.Int32)
        return pl.select(uid=_bytes(random, self._rows, 16)).with_columns(shard=shard)

    def _usable(self, step: Step) -> pl.Series:
        return pl.Series(self._random("usable", step).random(self._rows) >= 0.03)

    def _texts(self, random: np.random.Generator, n_phrases: int) -> pl.Series:
        parts = [self._phrases[_draw(random, self._rows)].alias(str(i)) for i in range(n_phrases)]
        return pl.select(pl.concat_str([pl.lit(part) for part in parts], separator=" ")).to_series()

    def _random(self, purpose: str, step: Step) -> np.random.Generator:
        return np.random.default_rng([*purpose.encode(), int(step.partition)])


def _draw(random: np.random.Generator, n: int) -> pl.Series:
    return pl.Series(random.integers(0, PHRASES, n))


def _bytes(random: np.random.Generator, n: int, width: int) -> pl.Series:
    packed = pa.py_buffer(random.bytes(n * width))
    return pl.Series(pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), n, [None, packed]))


def write_tables(session: Session, rows: int) -> None:
    """Tables and events of everything before the mixes, through runs of Dagster."""
    session.create_tables()
    writers = Pool(session.project.workspace.tables, rows).writers()
    nodes = [
        replace(node, compute=writers[key], checks=())
        for key, node in session.graph.nodes.items()
        if key in writers
    ]
    instance = session.open_instance()
    assets = assets_of(
        Graph(nodes, lambda _: list(session.project.partitions)), session.project, in_pools=False
    )
    job = dg.Definitions(assets=assets).resolve_implicit_global_asset_job_def()
    keys = list(session.project.partitions)
    done = job.execute_in_process(
        instance=instance,
        tags={
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
        },
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert done.success


def build(session: Session, refusing: Path, jobs: int) -> tuple[float, float]:
    """`recap build`; its seconds by the clock and of processor time."""
    command = [
        sys.executable, "-m", "recap_assets.cli.main", "-e", str(session.path), "build", "--yes",
        "--select", "curated_mixes/*", "--jobs", str(jobs),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{refusing}:{REPOSITORY}"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"recap build failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, processor


def commits(tables: TableStore) -> Mapping[str, int]:
    """Delta version of each table that the edit may or may not write."""
    watched = (RAW_POOL, SYNTHETIC_CAPTIONS, CLIP_SCORES, THRESHOLDS, CURATED_MIXES)
    return {table.name: tables.version(table) or 0 for table in watched}


def check_result(tables: TableStore, top: float, n_partitions: int) -> int:
    """The mix against a plain selection with polars; how many pairs it has."""
    scores = pl.scan_delta(tables.uri(CLIP_SCORES))
    raw = scores.filter(pl.col("source") == "raw").select("score").drop_nulls().collect()["score"]
    value = raw.sort(descending=True)[int(raw.len() * top)]
    cutoff = pl.read_delta(tables.uri(THRESHOLDS)).filter(pl.col("mix") == "edited")["value"].item()
    assert cutoff == value, (cutoff, value)
    mix = pl.scan_delta(tables.uri(CURATED_MIXES)).filter(pl.col("mix") == "edited")
    found = mix.group_by("source").agg(pl.len(), pl.col("partition").n_unique()).collect()
    by_source = {source: (n, partitions) for source, n, partitions in found.iter_rows()}
    assert by_source["raw"] == ((raw >= value).sum(), n_partitions), by_source
    all_images = scores.filter(pl.col("source") == "blip").select(pl.len()).collect().item()
    assert by_source["blip"][0] == all_images - by_source["raw"][0], by_source
    return all_images


def measure(folder: Path, args: argparse.Namespace) -> None:
    rows = args.images // args.partitions
    pool = folder / "pool"
    is_new = not pool.exists()
    pool.mkdir(parents=True, exist_ok=True)
    for number in range(args.partitions if is_new else 0):
        (pool / f"{number:08d}.tar").write_bytes(bytes(10_240))
    refusing = folder / "refusing"
    (refusing / "torch").mkdir(parents=True, exist_ok=True)
    (refusing / "torch" / "__init__.py").write_text("raise RuntimeError('a model is loaded')\n")
    file = folder / "edit.yaml"
    file.write_text(yaml.safe_dump(experiment(folder, TOP)))
    os.environ["RECAP_DATA"] = str(folder / "data")
    os.environ["DAGSTER_HOME"] = str(REPOSITORY)
    session = Session(file)
    session.export()
    started = time.perf_counter()
    if is_new:
        write_tables(session, rows)
    print(f"tables and events written in {time.perf_counter() - started:.0f} s", flush=True)
    tables = session.project.workspace.tables
    print(f"first build of both mixes: {build(session, refusing, args.jobs)[0]:.1f} s", flush=True)
    nothing = build(session, refusing, args.jobs)
    print(f"a build with nothing to do: {nothing[0]:.1f} s", flush=True)
    taken = []
    for i in range(args.rounds):
        top = (EDITED_TOP, TOP)[i % 2]
        file.write_text(yaml.safe_dump(experiment(folder, top)))
        before = commits(tables)
        taken.append(build(session, refusing, args.jobs))
        changed = {
            name: v - before[name] for name, v in commits(tables).items() if v - before[name]
        }
        assert changed == {"thresholds": 1, "curated_mixes": args.partitions}, changed
        n_pairs = check_result(tables, top, args.partitions)
        print(
            f"edit to {top:.0%}: {n_pairs:,} pairs rebuilt and committed in {taken[-1][0]:.1f} s "
            f"({taken[-1][1]:.1f} s of processor time)",
            flush=True,
        )
    seconds = statistics.median(wall for wall, _ in taken)
    what = f"threshold edit on {2 * args.images / 1e6:.3g} M score rows, seconds"
    verdict(what, seconds, TARGET_SECONDS, at_most=True)
    processor = statistics.median(cpu for _, cpu in taken)
    verdict(f"{what} of processor time / 2 cores", processor / 2, TARGET_SECONDS, at_most=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=6_400_000, help="two score rows each")
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--keep", type=Path, help="a folder for the tables: kept, and used again as it is"
    )
    args = parser.parse_args()
    print(machine())
    if args.keep:
        measure(args.keep, args)
        return
    with TemporaryDirectory() as scratch:
        measure(Path(scratch), args)


if __name__ == "__main__":
    main()
