"""A pool of captions and scores written straight into the tables, and the mixes built from it.

No model is loaded, so that tests of what reads the tables are quick.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.histograms import score_histogram
from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES, SCORE_HISTOGRAMS, best_scores
from recap_assets.artefacts.table import STATUS_OK, STATUS_REJECTED
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.mixes.assets import nodes
from recap_assets.specs.experiment import Experiment
from recap_assets.storage.tables import TableStore
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.tiny import tiny_experiment

HOSTILE = "\x1b[2J[red]bold[/] \u202eevil\r\n<script>"
SCORERS = {
    "clip": {"kind": "embedded", "model": "scorer"},
    "other": {"kind": "embedded", "model": "scorer"},
}
MIXES = {
    "raw": {"scorer": "clip", "rules": [{"use": "raw"}]},
    "raw_top30": {"scorer": "clip", "rules": [{"use": "raw", "where": {"top": 0.3}}]},
    "mixed": {
        "scorer": "clip",
        "rules": [{"use": "raw", "where": {"top": 0.3}}, {"use": {"best_of": ["raw", "a"]}}],
    },
    "both": {
        "scorer": "clip",
        "combine": "all",
        "rules": [{"use": {"each": {"raw": 1, "a": 3}}}, {"use": "a", "where": {"top": 0.5}}],
    },
    "half": {"scorer": "other", "within": {"fraction": 0.5}, "rules": [{"use": "raw"}]},
}


def uid_of(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def mixes_experiment(**changes: object) -> Experiment:
    """The tiny experiment with a second scorer and mixes of every kind."""
    none = {"raw": None, "raw_filtered": None, "mixed": [], "examples": 3}
    return tiny_experiment(**{"scorers": SCORERS, "mixes": MIXES, "report": none, **changes})


def written_pool(folder: Path, experiment: Experiment | None = None) -> Project:
    """Three partitions of twenty samples: the last two of each are set aside.

    Image 3 has a hostile raw text, image 5 none, image 7 no synthetic caption.
    """
    experiment = experiment or mixes_experiment()
    project = Project(experiment, Workspace(folder, experiment.name))
    written = _written(tuple(experiment.scorers), tuple(project.partitions))
    shutil.copytree(written.name, project.workspace.root / "tables", dirs_exist_ok=True)
    return project


@cache
def _written(
    scorers: tuple[str, ...], partitions: tuple[str, ...]
) -> tempfile.TemporaryDirectory[str]:
    """A folder with the tables of these partitions, written once in a process."""
    folder = tempfile.TemporaryDirectory(prefix="recap_written_pool_")
    tables = TableStore(folder.name)
    for number, partition in enumerate(partitions):
        _write_partition(tables, scorers, partition, number)
    return folder


def _write_partition(
    tables: TableStore, scorers: Iterable[str], partition: str, number: int
) -> None:
    random = np.random.default_rng(number)
    images = range(20 * number, 20 * number + 20)
    texts = {i: f"raw words of image {i}" for i in images} | {3: HOSTILE, 5: None}
    rows = []
    for place, i in enumerate(images):
        status, reason = (STATUS_REJECTED, "too_small") if place >= 18 else (STATUS_OK, None)
        row = dict.fromkeys(RAW_POOL.columns) | {
            "shard": number, "uid": uid_of(i), "key": f"{i:05d}", "text": texts[i],
            "sha256": hashlib.sha256(uid_of(i)).digest(), "status": status, "reject_reason": reason,
        }  # fmt: skip
        rows.append(row)
    raw = pl.DataFrame(rows, schema=RAW_POOL.schema).drop("partition")
    tables.replace(RAW_POOL, {"partition": partition}, raw)
    good = [i for place, i in enumerate(images) if place < 18]
    captions = {i: f"caption of image {i}" for i in good if i != 7}
    write_captions(tables, partition, captions)
    for scorer in scorers:
        for source, has in (("raw", lambda i: i != 5), ("a", lambda i: i != 7)):
            scores = {i: float(np.float16(random.normal(0.2, 0.05))) for i in good if has(i)}
            write_scores(tables, scorer, source, partition, {i: scores.get(i) for i in good})


def write_captions(tables: TableStore, partition: str, texts: dict[int, str]) -> None:
    """Captions of source a in one partition."""
    rows = [
        dict.fromkeys(SYNTHETIC_CAPTIONS.columns)
        | {"shard": int(partition), "uid": uid_of(i), "candidate": 0, "text": text}
        | {"status": STATUS_OK}
        for i, text in texts.items()
    ]
    frame = pl.DataFrame(rows, schema=SYNTHETIC_CAPTIONS.schema).drop("source", "partition")
    at = {"source": "a", "partition": partition}
    tables.replace(SYNTHETIC_CAPTIONS, at, frame)


def write_scores(
    tables: TableStore, scorer: str, source: str, partition: str, scores: dict[int, float | None]
) -> None:
    """Scores of one source in one partition, and their histogram."""
    rows = [(int(partition), uid_of(i), 0, score) for i, score in scores.items()]
    schema = {name: CLIP_SCORES.schema[name] for name in ("shard", "uid", "candidate", "score")}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    at = {"scorer": scorer, "source": source, "partition": partition}
    tables.replace(CLIP_SCORES, at, frame)
    histogram = score_histogram(best_scores(frame))
    tables.replace(SCORE_HISTOGRAMS, at, histogram)


def built_pool(folder: Path) -> Project:
    """The written pool with its mixes, which are built once in a process."""
    project = Project(mixes_experiment(), Workspace(folder, mixes_experiment().name))
    root = project.workspace.root
    shutil.copytree(f"{_built().name}/{root.name}", root, dirs_exist_ok=True)
    return project


@cache
def _built() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="recap_built_pool_")
    build_mixes(written_pool(Path(folder.name)))
    return folder


def build_mixes(project: Project, names: Iterable[str] | None = None) -> None:
    """Cut-offs and pairs of the mixes, by the platform's own stage."""
    found = {node.key: node for node in nodes(project)}
    for name in names or project.experiment.mixes:
        compute_and_write(found[THRESHOLDS.key(name)], Step(""))
        for partition in project.partitions:
            compute_and_write(found[CURATED_MIXES.key(name)], Step(partition))
