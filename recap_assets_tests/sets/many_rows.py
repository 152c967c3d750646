"""Pools of many random rows without an image, on which sets are held to plain implementations."""

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recap_assets.artefacts import (
    CLIP_SCORES,
    IMAGE_EMBEDDINGS,
    POOL_COLUMNS,
    RAW_POOL,
    TEXT_LANGUAGES,
    UID_SETS,
    Table,
)
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.stage import Project, Step
from recap_assets.sets import assets
from recap_assets.shards.manifest import Shard, partition_key
from recap_assets.specs.loading import parse_experiment
from recap_assets.storage.workspace import Workspace
from recap_assets.testing.stored_pool import EXPERIMENT

N = 10_000
NAME = "tried"


@dataclass(frozen=True)
class Sample:
    """One sample, as plain as can be.

    Attributes:
        uid: 16 bytes.
        text: The raw text.
        sha256: Of its image; None where nobody computed it.
        is_usable: Whether the pool did not set it aside.
        width: Pixels.
        vector: Its embedding, of float16's grid; None where there is none.
        score: A float32; None where there is none.
        language: Of the text.
        columns: Values of the pool's columns, as texts.
    """

    uid: bytes
    text: str | None = None
    sha256: bytes | None = None
    is_usable: bool = True
    width: int = 300
    vector: np.ndarray | None = None
    score: float | None = None
    language: str | None = None
    columns: Mapping[str, str | None] | None = None


def digest(of: str) -> bytes:
    return hashlib.sha256(of.encode()).digest()


def samples(
    make: Callable[[np.random.Generator, int], Mapping[str, Any]], n: int = N
) -> list[Sample]:
    """Random samples; some are set aside, and look like members."""
    draw = np.random.default_rng(3)
    return [
        Sample(digest(f"uid {i}")[:16], is_usable=draw.random() > 0.02, **make(draw, i))
        for i in range(n)
    ]


def in_parts(found: Sequence[Sample], n_parts: int, seed: int = 0) -> list[list[Sample]]:
    """The samples in another order, in some partitions."""
    order = np.random.default_rng(seed).permutation(len(found))
    return [[found[i] for i in part] for part in np.array_split(order, n_parts)]


def project_of(folder: Path, parts: Sequence[Sequence[Sample]], spec: Mapping[str, Any]) -> Project:
    """An experiment with this set, over a pool whose tables hold the samples."""
    project = _empty(folder, parts, spec)
    for number, part in enumerate(parts):
        write_part(project, number, part)
    return project


def _empty(folder: Path, parts: Sequence[Sequence[Sample]], spec: Mapping[str, Any]) -> Project:
    names = {name for part in parts for one in part for name in one.columns or ()}
    columns = {name: f"json.{name}" for name in sorted(names)}
    pool = {"kind": "webdataset", "shards": str(folder / "shards"), "columns": columns}
    experiment = parse_experiment({**EXPERIMENT, "pool": pool, "sets": {NAME: dict(spec)}})
    project = Project(experiment, Workspace(folder / "data", experiment.name))
    project.freeze([Shard(f"{n:08d}", f"{n:08d}.tar", 1, "v", n) for n in range(len(parts))])
    return project


_written: dict[tuple[int, int], tuple[Sequence[Sample], Project]] = {}
"""Projects by the samples, which are kept so that no others get their id, and parts."""


def _in_parts_written_once(
    found: Sequence[Sample], n_parts: int, folder: Path, spec: Mapping[str, Any]
) -> Project:
    """The project of the samples in some parts; its tables are written for one test of a module."""
    parts, key = in_parts(found, n_parts, n_parts), (id(found), n_parts)
    if key not in _written:
        template = Path(tempfile.mkdtemp(dir=folder.parent))
        _written[key] = found, project_of(template, parts, spec)
    project = _empty(folder, parts, spec)
    shutil.copytree(_written[key][1].workspace.root, project.workspace.root, dirs_exist_ok=True)
    return project


def write_part(project: Project, number: int, part: Sequence[Sample]) -> None:
    """Make the samples a partition's."""
    partition = partition_key(number, 1)
    pool = pl.DataFrame(
        {
            "shard": number, "uid": [one.uid for one in part],
            "key": [f"{i:09d}" for i in range(len(part))], "text": [one.text for one in part],
            "width": [one.width for one in part], "height": 300,
            "sha256": [one.sha256 for one in part],
            "status": ["ok" if one.is_usable else "rejected" for one in part],
        }
    )  # fmt: skip
    _write(project, RAW_POOL, {"partition": partition}, pool)
    with_vector = [one for one in part if one.vector is not None]
    vectors = [one.vector.astype("<f2").tobytes() for one in with_vector]  # type: ignore[union-attr]
    embedded = pl.DataFrame(
        {"uid": [one.uid for one in with_vector], "embedding": vectors},
        schema={"uid": pl.Binary, "embedding": pl.Binary},
    )
    at = {"scorer": "clip", "partition": partition}
    _write(project, IMAGE_EMBEDDINGS, at, embedded.with_columns(shard=number))
    scored = pl.DataFrame({"uid": [one.uid for one in part], "score": [one.score for one in part]})
    scores = scored.with_columns(shard=number, candidate=0)
    _write(project, CLIP_SCORES, {**at, "source": "raw"}, scores)
    told = [one for one in part if one.language is not None]
    languages = pl.DataFrame(
        {
            "uid": [one.uid for one in told],
            "language": [one.language for one in told],
            "probability": 0.9,
        }
    )
    if told:
        at = {"identifier": "fasttext", "source": "raw", "partition": partition}
        _write(project, TEXT_LANGUAGES, at, languages)

    for name in project.experiment.pool.columns:
        values = [(one.uid, (one.columns or {}).get(name)) for one in part]
        rows = pl.DataFrame(values, schema={"uid": pl.Binary, "text": pl.String}, orient="row")
        at = {"column": name, "partition": partition}
        _write(project, POOL_COLUMNS, at, rows.with_columns(shard=number))


def _write(project: Project, table: Table, at: Mapping[str, str], rows: pl.DataFrame) -> None:
    columns = {
        name: (pl.col(name) if name in rows.columns else pl.lit(None)).cast(dtype)
        for name, dtype in table.unsliced.items()
    }
    project.workspace.tables.replace(table, at, rows.select(**columns))


@dataclass(frozen=True)
class Found:
    """What was built: the members, and how many others there are by reason."""

    project: Project
    members: frozenset[bytes]
    reasons: Mapping[str, int]


def built(project: Project) -> Found:
    """Everything that the set reads, and the set, over all partitions."""
    nodes = [one for one in assets.nodes(project) if not one.key.startswith("text_languages/")]
    reasons: Counter[str] = Counter()
    for node in nodes:
        for partition in project.partitions if node.dimension == "pool" else ("",):
            outcome = compute_and_write(node, Step(partition, asset=node.key))
            if node.key == UID_SETS.key(NAME):
                reasons.update(outcome.rejected)
    return Found(project, frozenset(assets.members_of(project, NAME)), reasons)


def held_to(
    expected: set[bytes], found: Sequence[Sample], folder: Path, spec: Mapping[str, Any]
) -> Found:
    """Build the set in one part and in several, and compare it with what is expected.

    Returns:
        What was built in several parts.
    """
    usable = {one.uid for one in found if one.is_usable}
    assert expected <= usable
    assert len(expected) > 20, "it is no test"
    assert len(usable) - len(expected) > 20, "it is no test"
    results = []
    for n_parts in (1, 4):
        place = folder / str(n_parts)
        result = built(_in_parts_written_once(found, n_parts, place, spec))
        assert result.members == expected
        assert sum(result.reasons.values()) == len(usable) - len(expected)
        results.append(result)
    assert results[0].reasons == results[1].reasons
    return results[1]


def why_not(found: Found, uid: bytes) -> list[str]:
    """What is said of a sample that is no member, wherever it is."""
    rows = found.project.workspace.tables.read(RAW_POOL).filter(pl.col("uid") == pl.lit(uid))
    return assets.why_not(found.project, NAME, rows["partition"].item(), uid)
