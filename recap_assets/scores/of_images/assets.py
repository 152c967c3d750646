"""Scores of the image alone, by its embedding or by its pixels."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from recap_assets.artefacts.facets import IMAGES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS, IMAGE_SCORES, vectors_of
from recap_assets.graph.by_row import by_row
from recap_assets.graph.kept_rows import ByRow, input_hashes
from recap_assets.graph.loaded import KeptOpen
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import outside_of
from recap_assets.graph.project import Project
from recap_assets.graph.shardwise import of_readable, over_images
from recap_assets.scores.of_images.kind import OfEmbeddings, OfImages, OwnImageScores
from recap_assets.scores.of_images.node import node_of, scored_rows
from recap_assets.scores.of_images.opened import Kinds, image_scorer_named
from recap_assets.specs.kinds import fitting

VERSION = 2
EMBEDDINGS_AT_ONCE = 512
"""So many stay near the processor in double precision, and are too few for threads to be begun."""
_KEPT = KeptOpen()


def nodes(project: Project) -> list[Node]:
    """The nodes of each scorer of images."""
    names = project.experiment.image_scorers
    return [
        node
        for name in names
        for node in _nodes_of(project, name, image_scorer_named(project, name))
    ]


def _nodes_of(project: Project, name: str, spec: Kinds) -> Iterator[Node]:
    if isinstance(spec, OwnImageScores):
        yield from spec.nodes(name, project)
        return
    if isinstance(spec, OfImages):
        images = Dependency(RAW_POOL.key(), "same", (IMAGES,))
    else:
        images = Dependency(IMAGE_EMBEDDINGS.key(spec.embedded_by), "same")
    node = node_of(
        project,
        name,
        lambda step: _found(project, name, step),
        version=VERSION,
        reads=(
            images,
            *(Dependency(key, "all") for key in spec.trained_by()),
        ),
        outside=outside_of(project, spec),
    )
    yield replace(node, rows=ByRow(IMAGE_SCORES))


def score_partition(project: Project, name: str, step: Step) -> Rows:
    """Score the images of one pool partition; those without a score are left out and counted."""
    return scored_rows(project, name, _found(project, name, step), step)


def _found(project: Project, name: str, step: Step) -> pl.DataFrame:
    spec = image_scorer_named(project, name)
    if isinstance(spec, OfImages):
        return _of_images(project, spec, step)
    return _of_embeddings(project, fitting(f"image_scorers.{name}", spec, OfEmbeddings), step)


def _of_embeddings(project: Project, spec: OfEmbeddings, step: Step) -> pl.DataFrame:
    rows = project.workspace.tables.read(
        IMAGE_EMBEDDINGS, scorer=spec.embedded_by, partition=step.partition
    )

    def scored(_step: Step, rows: pl.DataFrame) -> pl.DataFrame:
        scorer = _KEPT.opened(project, spec)
        parts = rows["embedding"].to_frame().iter_slices(EMBEDDINGS_AT_ONCE)
        scores = np.concatenate([scorer.score(vectors_of(part["embedding"])) for part in parts])
        return rows.select("shard", "uid").with_columns(pl.Series("score", scores, pl.Float32))

    wanted = rows.select("shard", "uid", "embedding", input_hashes(rows, "embedding"))
    return by_row(step, IMAGE_SCORES, wanted, scored)


def _of_images(project: Project, spec: OfImages, step: Step) -> pl.DataFrame:
    def scored(step: Step, images: pl.DataFrame) -> pl.DataFrame:
        scorer = _KEPT.opened(project, spec)
        score = of_readable("score", pl.Float32, scorer.score, scorer)
        return over_images(project, step, images, spec.at_once, IMAGE_SCORES.unsliced, score)

    images = project.usable_images(step.partition)
    return by_row(step, IMAGE_SCORES, images.with_columns(input_hashes(images, "sha256")), scored)
