"""The embedded target of a NormSim, and its scores."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.scores import (
    IMAGE_EMBEDDINGS,
    IMAGE_SCORES,
    TARGET_EMBEDDINGS,
    halves_of,
)
from recap_assets.graph.by_row import by_row
from recap_assets.graph.content import StoredRows
from recap_assets.graph.kept_rows import ByRow, input_hashes
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.scores.of_images.kinds.norm_sim.formula import norms
from recap_assets.scores.of_images.kinds.norm_sim.spec import NormSimSpec
from recap_assets.scores.of_images.node import STAGE, node_of
from recap_assets.scores.targets import TargetError
from recap_assets.specs.base import deciding

VERSION = 1
SECONDS = 5.0
IMAGES_AT_ONCE = 4_096


def nodes_of(project: Project, name: str, spec: NormSimSpec) -> list[Node]:
    """The embedded target, and the scores."""
    return [
        _target_node(project, name, spec),
        replace(
            node_of(
                project,
                name,
                lambda step: score_partition(project, name, spec, step),
                version=VERSION,
                reads=(
                    Dependency(IMAGE_EMBEDDINGS.key(spec.scorer), "same"),
                    Dependency(TARGET_EMBEDDINGS.key(name), "all"),
                ),
            ),
            rows=ByRow(IMAGE_SCORES),
        ),
    ]


def _target_node(project: Project, name: str, spec: NormSimSpec) -> Node:
    return Node(
        key=TARGET_EMBEDDINGS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=spec.target.reads(project, spec.scorer),
        implementation=VERSION,
        decides=deciding(embedded_by=spec.target.embedded_by(project, spec.scorer)),
        compute=lambda _step: embed_target(project, name, spec),
        description=f"The images that {name} compares with, as {spec.scorer} embeds them.",
        outside=spec.target.outside(project, spec.scorer),
        content=StoredRows(project.workspace.tables, TARGET_EMBEDDINGS, {"scorer": name}),
        seconds=SECONDS,
        pool="gpu",
        kinds=("pytorch", "deltalake"),
    )


def embed_target(project: Project, name: str, spec: NormSimSpec) -> Rows:
    """The target's embeddings, of unit length.

    Raises:
        TargetError: It has no image that can be read.
    """
    parts, unreadable = [TARGET_EMBEDDINGS.unsliced.to_frame()], 0
    n = 0
    for vectors, lost in spec.target.embedded(project, spec.scorer):
        unreadable += lost
        parts.append(_packed(vectors, n))
        n += len(vectors)
    if not n:
        msg = f"image_scorers.{name}.target: no image of it can be read ({unreadable:,} cannot)"
        raise TargetError(msg)
    rejected = {"image_unreadable": unreadable} if unreadable else {}
    return Rows(pl.concat(parts), rejected=rejected, facts={"target_images": n})


def _packed(vectors: NDArray[np.floating], first: int) -> pl.DataFrame:
    wide = vectors.astype(np.float64)
    unit = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    rows = {"number": range(first, first + len(unit)), "embedding": [*map(_bytes_of, unit)]}
    return pl.DataFrame(rows, schema=TARGET_EMBEDDINGS.unsliced)


def _bytes_of(vector: NDArray[np.float64]) -> bytes:
    return vector.astype("<f2").tobytes()


def score_partition(project: Project, name: str, spec: NormSimSpec, step: Step) -> pl.DataFrame:
    """The norm of every image with an embedding in one pool partition.

    Raises:
        TargetError: The target's embeddings are of another dimension.
    """
    tables = project.workspace.tables
    rows = tables.read(IMAGE_EMBEDDINGS, scorer=spec.scorer, partition=step.partition)

    def scored(step: Step, rows: pl.DataFrame) -> pl.DataFrame:
        targets = halves_of(tables.read(TARGET_EMBEDDINGS, scorer=name).sort("number")["embedding"])
        scores = np.concatenate([*_scores(name, halves_of(rows["embedding"]), targets, spec, step)])
        return rows.select("shard", "uid").with_columns(pl.Series("score", scores, pl.Float32))

    wanted = rows.select("shard", "uid", "embedding", input_hashes(rows, "embedding"))
    return by_row(step, IMAGE_SCORES, wanted, scored)


def _scores(
    name: str,
    images: NDArray[np.float16],
    targets: NDArray[np.float16],
    spec: NormSimSpec,
    step: Step,
) -> Iterator[NDArray[np.float32]]:
    if images.shape[1] != targets.shape[1]:
        msg = (
            f"image_scorers.{name}.target: embeddings of {targets.shape[1]} dimensions, and the "
            f"images' have {images.shape[1]}; they must come from one scorer"
        )
        raise TargetError(msg)
    for start in range(0, len(images), IMAGES_AT_ONCE):
        yield norms(images[start : start + IMAGES_AT_ONCE], targets, spec.norm)
        step.progress(min(1.0, (start + IMAGES_AT_ONCE) / len(images)))
