"""Real shards, indexed, with captions and scores written by rule: mixes of every kind to export."""

import hashlib
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import webdataset

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.histograms import score_histogram
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES, SCORE_HISTOGRAMS, best_scores
from recap_assets.artefacts.table import is_usable
from recap_assets.exports.once import Exported, export_once
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.mixes.assets import nodes as mix_nodes
from recap_assets.pool.assets import nodes as pool_nodes
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.exports import parse_export
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.tiny import tiny_experiment

MIXES: Mapping[str, Any] = {
    "raw_top": [{"use": "raw", "where": {"top": 0.3}}],
    "paper": [
        {"use": "raw", "where": {"top": 0.3}},
        {"use": "blip2", "where": {"at_least": {"top": 0.3, "of": "raw"}}},
    ],
    "each": [{"use": {"each": {"raw": 1, "blip2": 3}}}],
    "joined": [{"use": {"join": ["raw", "blip2"]}}],
    "shared": [{"use": "blip2", "candidates": "all"}, {"use": "raw"}],
}
WITH_COPIES = {
    **MIXES,
    "copied": {"rules": [{"use": "raw"}], "copies": {"size": 300, "cap": 4, "temperature": 0.1}},
}
"""With repeats besides, of a pool that has enough pairs."""

N_CANDIDATES = 2


def only(mix: str) -> Mapping[str, Any]:
    """The one mix that a test looks at."""
    return {mix: MIXES[mix]}


def real_experiment(pool: Path | str, **changes: Any) -> Experiment:
    """An experiment on a pool of tars with one captioner, whose model is never loaded."""
    return tiny_experiment(
        **{
            "pool": {"kind": "webdataset", "shards": str(pool), "shards_per_partition": 1},
            "corpora": {},
            "models": {},
            "sources": {"blip2": {"kind": "transformers", "model": "/home/someone/models/blip2"}},
            "scorers": {"b32": {"kind": "open_clip", "model": "ViT-B-32", "pretrained": "openai"}},
            "mixes": MIXES,
            "report": {},
            **changes,
        }
    )


def real_setting(folder: Path, pool: Path | str, **changes: Any) -> Project:
    """The pool indexed by the platform's own stage; captions and scores; every mix built."""
    experiment = real_experiment(pool, **changes)
    project = Project(experiment, Workspace(folder, experiment.name))
    project.scan()
    for partition in project.partitions:
        index(project, partition)
        write_captions_and_scores(project, partition)
    build_mixes(project)
    return project


def index(project: Project, partition: str) -> None:
    """The partition's index, by the platform's own stage."""
    (node,) = pool_nodes(project)
    compute_and_write(node, Step(partition))


def build_mixes(project: Project) -> None:
    """Cut-offs and pairs of every mix."""
    for node in mix_nodes(project):
        for partition in project.partitions if node.dimension == "pool" else [""]:
            compute_and_write(node, Step(partition))


def write_captions_and_scores(project: Project, partition: str) -> None:
    """Two captions for every image but each tenth, and a score for every text, by hash of uid."""
    tables = project.workspace.tables
    usable = tables.scan(RAW_POOL, partition=partition).filter(is_usable())
    raw = usable.select("shard", "uid", "text").collect()
    rows = [
        (shard, uid, candidate, f"a picture of {uid.hex()[:6]}, take {candidate}: naïve 图", "ok")
        for shard, uid in raw.select("shard", "uid").iter_rows()
        if uid[0] % 10
        for candidate in range(N_CANDIDATES)
    ]
    names = ["shard", "uid", "candidate", "text", "status"]
    schema = {name: SYNTHETIC_CAPTIONS.schema[name] for name in names}
    captions = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.lit(None, SYNTHETIC_CAPTIONS.schema[name]).alias(name)
        for name in SYNTHETIC_CAPTIONS.columns
        if name not in names and name not in ("source", "partition")
    )
    tables.replace(SYNTHETIC_CAPTIONS, {"source": "blip2", "partition": partition}, captions)
    texts = raw.with_columns(candidate=pl.lit(0, pl.Int16))
    for source, frame in (("raw", texts), ("blip2", captions)):
        scored = frame.with_columns(score=_scores(source, frame)).select(
            "shard", "uid", "candidate", "score"
        )
        at = {"scorer": "b32", "source": source, "partition": partition}
        tables.replace(CLIP_SCORES, at, scored)
        tables.replace(SCORE_HISTOGRAMS, at, score_histogram(best_scores(scored)))


def _scores(source: str, frame: pl.DataFrame) -> pl.Series:
    values = []
    for uid, candidate, text in frame.select("uid", "candidate", "text").iter_rows():
        drawn = hashlib.sha256(f"{source} {uid.hex()} {candidate}".encode()).digest()[0]
        values.append(None if text is None else 0.1 + drawn / 1000)
    return pl.Series(values, dtype=pl.Float32)


def pairs_of(project: Project, mix: str) -> pl.DataFrame:
    """All pairs of a mix."""
    return project.workspace.tables.read(CURATED_MIXES, mix=mix)


KEPT = 60
"""Samples of each real shard: enough for every kind of sample, few enough to be quick."""


def cut_shard(source: Path, target: Path, first: int = 0) -> None:
    """The samples of a real shard from number `first`, as many as tests need."""
    with tarfile.open(source) as tar, tarfile.open(target, "w") as cut:
        members = sorted(tar.getmembers(), key=lambda m: m.name)
        keys = sorted({m.name.split(".")[0] for m in members})[first : first + KEPT]
        for member in members:
            if member.name.split(".")[0] in keys:
                cut.addfile(member, tar.extractfile(member))


def exported(project: Project, folder: Path | str, mix: str, to: str, **options: Any) -> Exported:
    if to != "subset":
        options = {"samples_per_shard": 25, **options}
    export = parse_export({"mix": mix, "to": to, "folder": str(folder), **options})
    return export_once(project, export)


def wanted_pairs(project: Project, mix: str, *, gif: bool = False) -> Counter[tuple[str, str]]:
    """Uid and text of each pair of a mix whose image open_clip reads."""
    images = project.workspace.tables.read(RAW_POOL).select("uid", "image_format")
    pairs = pairs_of(project, mix).join(images, on="uid")
    if not gif:
        pairs = pairs.filter(pl.col("image_format") != "GIF")
    return Counter((uid.hex(), text) for uid, text in pairs.select("uid", "text").iter_rows())


def samples_in(folder: Path) -> Iterator[dict[str, Any]]:
    """Read by the webdataset library, every tar below the folder."""
    tars = sorted(str(path) for path in folder.rglob("*.tar"))
    return iter(webdataset.WebDataset(tars, shardshuffle=False))
