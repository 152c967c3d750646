"""A pool of a few samples whose tables are filled without any image, model or server.

For contracts of what reads tables. Sample `n` has the uid `uid_of(n)`, and the same values in every
table whatever the partition that it is in.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from recap_assets.artefacts import (
    CLIP_SCORES,
    IMAGE_EMBEDDINGS,
    IMAGE_SCORES,
    RAW_POOL,
    TEXT_LANGUAGES,
    Table,
)
from recap_assets.graph.project import Project
from recap_assets.shards.manifest import Shard, partition_key
from recap_assets.specs.base import Spec
from recap_assets.specs.loading import parse_experiment
from recap_assets.specs.sources import RAW
from recap_assets.storage.workspace import Workspace

SAMPLES = 15
DIMENSION = 6
"""Of the image embeddings."""

TEXTS = (
    ("a brown dog runs across the wide field", "en"),
    ("ein brauner Hund rennt über die Wiese", "de"),
    ("two dogs", "en"),
    (None, None),
    ("a small boat on the calm lake in summer", "en"),
)
EXPERIMENT: Mapping[str, object] = {
    "name": "contract",
    "scorers": {"clip": {"kind": "open_clip", "model": "ViT-B-32", "pretrained": "openai"}},
    "image_scorers": {"aesthetic": {"kind": "image_classifier", "model": "none", "label": "good"}},
    "mixes": {"raw": [{"use": "raw"}]},
    "evaluation": {"tasks": {"none": {"kind": "webdataset", "path": "none"}}},
}
"""Names of scorers that the tables have scores of."""


def uid_of(number: int) -> bytes:
    """The uid of a sample."""
    return hashlib.sha256(b"%d" % number).digest()[:16]


def vector_of(number: int) -> np.ndarray:
    """The image embedding of a sample: of unit length, in one of three bunches."""
    vector = np.full(DIMENSION, 0.05) + 0.01 * np.random.default_rng(number).random(DIMENSION)
    vector[number % 3] = 1.0
    return vector / np.linalg.norm(vector)


def stored_pool(
    folder: Path, parts: Sequence[Sequence[int]], **sections: Mapping[str, Spec]
) -> Project:
    """An experiment whose pool has a partition for each list of samples, with its tables.

    Each partition has a sample besides that was set aside, and has nothing but a uid.

    Args:
        folder: An empty folder.
        parts: Numbers of samples.
        sections: Sections of the experiment with specs, such as `sets`.
    """
    pool = {"kind": "webdataset", "shards": str(folder / "shards")}
    experiment = parse_experiment({**EXPERIMENT, "pool": pool})
    project = Project(
        experiment.model_copy(update=dict(sections)), Workspace(folder / "data", experiment.name)
    )
    project.freeze([Shard(f"{n:08d}", f"{n:08d}.tar", 1, "v", n) for n in range(len(parts))])
    written = _written(tuple(tuple(map(int, part)) for part in parts))
    shutil.copytree(written.name, project.workspace.root, dirs_exist_ok=True)
    return project


@cache
def _written(parts: tuple[tuple[int, ...], ...]) -> tempfile.TemporaryDirectory[str]:
    """A folder with the tables of these partitions, written once in a process."""
    folder = tempfile.TemporaryDirectory(prefix="recap_stored_pool_")
    tables = Workspace(Path(folder.name).parent, Path(folder.name).name).tables
    for number, part in enumerate(parts):
        for table, at, rows in _rows(number, part):
            tables.replace(table, {**at, "partition": partition_key(number, 1)}, rows)
    return folder


Slices = Iterator[tuple[Table, Mapping[str, str], pl.DataFrame]]


def _rows(shard: int, part: Sequence[int]) -> Slices:
    lost = {"shard": shard, "uid": uid_of(-1 - shard), "key": "lost", "status": "rejected"}
    samples = [*(_sample(shard, n) for n in part), {**lost, "reject_reason": "image_corrupt"}]
    yield RAW_POOL, {}, _frame(RAW_POOL, samples)
    languages = [
        {"uid": uid_of(n), "language": TEXTS[n % len(TEXTS)][1], "probability": 0.9}
        for n in part
        if TEXTS[n % len(TEXTS)][0] is not None
    ]
    for identifier in ("fasttext", "cld3"):
        at = {"identifier": identifier, "source": RAW}
        yield TEXT_LANGUAGES, at, _frame(TEXT_LANGUAGES, languages)
    at = {"scorer": "clip"}
    where = [{"shard": shard, "uid": uid_of(n)} for n in part]
    vectors = [{"embedding": vector_of(n).astype("<f2").tobytes()} for n in part]
    yield IMAGE_EMBEDDINGS, at, _frame(IMAGE_EMBEDDINGS, _both(where, vectors))
    scores = [{"candidate": 0, "score": 0.02 * n} for n in part]
    yield CLIP_SCORES, {**at, "source": RAW}, _frame(CLIP_SCORES, _both(where, scores))
    of_images = [{"score": float(n % 10)} for n in part]
    yield IMAGE_SCORES, {"scorer": "aesthetic"}, _frame(IMAGE_SCORES, _both(where, of_images))


def _sample(shard: int, number: int) -> dict[str, object]:
    text, _ = TEXTS[number % len(TEXTS)]
    image = number - number % 2 if number < 6 else number  # some pairs show the same image
    return {
        "shard": shard, "uid": uid_of(number), "key": f"{number:09d}", "offset": 512, "size": 9,
        "image_format": "JPEG", "width": 300 + 10 * number, "height": 300 if number % 7 else 90,
        "text": text, "sha256": hashlib.sha256(b"image %d" % image).digest(),
        "perceptual_hash": image << 20, "status": "ok",
    }  # fmt: skip


def _both(
    ones: Sequence[Mapping[str, object]], others: Sequence[Mapping[str, object]]
) -> list[dict[str, object]]:
    return [{**one, **other} for one, other in zip(ones, others, strict=True)]


def _frame(table: Table, rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=table.unsliced)
