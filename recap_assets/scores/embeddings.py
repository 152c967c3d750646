"""Image embeddings, once for each scorer that has them."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.facets import IMAGES, SAMPLES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS
from recap_assets.graph.by_row import by_row
from recap_assets.graph.content import StoredRows
from recap_assets.graph.kept_rows import ByRow, input_hashes
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import Outside, both, metadata_outside, outside_of
from recap_assets.graph.project import Project
from recap_assets.graph.shardwise import of_readable, over_images
from recap_assets.scores.kind import ByEmbeddings
from recap_assets.scores.opened import embedder_of, embedding_scorer
from recap_assets.shards.metadata import EMBEDDINGS, metadata_embeddings
from recap_assets.specs.base import deciding
from recap_assets.specs.running import gpus_of

VERSION = 2
STAGE = "scores"
GUESSED_FOR = 1_000
"""Images that a scorer's time is guessed for."""


def embeddings_node(project: Project, name: str) -> Node:
    """The asset of a scorer's image embeddings; it must be one that embeds."""
    spec = embedding_scorer(project, name)
    trained = (Dependency(key, "all") for key in spec.trained_by())
    of_pool = SAMPLES if spec.given_embeddings else IMAGES
    return Node(
        key=IMAGE_EMBEDDINGS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(Dependency(RAW_POOL.key(), "same", (of_pool,)), *trained),
        implementation=VERSION,
        decides=deciding(scorer=spec),
        compute=lambda step: embed_partition(project, name, step),
        description=f"Unit-length image embeddings of {name}, computed once for all sources.",
        outside=both(outside_of(project, spec), _given_embeddings(project, spec)),
        content=StoredRows(project.workspace.tables, IMAGE_EMBEDDINGS, {"scorer": name}),
        seconds=spec.seconds_per_image * GUESSED_FOR,
        seconds_are_of=GUESSED_FOR,
        pool="gpu" if spec.on_gpu else "cpu",
        n_gpus=gpus_of(spec),
        by_shard=spec.given_embeddings is None,
        kinds=(spec.framework, "deltalake"),
        is_worth_keeping=True,
        rows=None if spec.given_embeddings else ByRow(IMAGE_EMBEDDINGS),
    )


def _given_embeddings(project: Project, spec: ByEmbeddings) -> Outside | None:
    return metadata_outside(project, EMBEDDINGS) if spec.given_embeddings else None


def embed_partition(project: Project, name: str, step: Step) -> Rows:
    """Embed the images of one pool partition, shard by shard."""
    spec = embedding_scorer(project, name)
    images = project.usable_images(step.partition)
    shown: dict[str, str] = {}

    def embedded(step: Step, images: pl.DataFrame) -> pl.DataFrame:
        scorer = embedder_of(project, name)
        embed = of_readable("embedding", pl.Binary, scorer.embed_images, scorer, _packed)
        schema = IMAGE_EMBEDDINGS.unsliced
        rows = over_images(project, step, images, spec.at_once, schema, embed)
        shown.update(spec.shown(scorer, rows))
        return rows

    if spec.given_embeddings:
        rows = _pool_embeddings(project, images, spec.given_embeddings)
    else:
        wanted = images.with_columns(input_hashes(images, "sha256"))
        rows = by_row(step, IMAGE_EMBEDDINGS, wanted, embedded)
    missing = images.height - rows.height
    rejected = {"image_unreadable": missing} if missing else {}
    return Rows(rows, rejected=rejected, markdown=shown, machine=spec.given_by)


def _packed(vectors: NDArray[np.float32]) -> list[bytes]:
    return [vector.tobytes() for vector in vectors.astype("<f2")]


def _pool_embeddings(project: Project, images: pl.DataFrame, key: str) -> pl.DataFrame:
    folder = metadata_folder(project)
    vectors = metadata_embeddings(folder, key, images["uid"])
    found = np.atleast_1d(np.isfinite(vectors).all(axis=1))
    norms = np.linalg.norm(vectors[found].astype(np.float32), axis=1, keepdims=True)
    unit = vectors[found].astype(np.float32) / np.maximum(norms, 1e-12)
    kept = images.filter(pl.Series(found)).select("shard", "uid")
    return kept.with_columns(embedding=pl.Series(_packed(unit), dtype=pl.Binary))


def metadata_folder(project: Project) -> str:
    """The pool's metadata.

    Raises:
        ValueError: The pool has none.
    """
    folder = project.pool.metadata_folder
    if folder is None:
        msg = "the scorer uses the pool's own scores or embeddings, but `pool.metadata` is not set"
        raise ValueError(msg)
    return folder


def cosines(images: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row-wise cosine of two (n, d) arrays, summed in float64 and rounded once."""
    left, right = images.astype(np.float64), texts.astype(np.float64)
    norms = np.sqrt((left * left).sum(axis=1) * (right * right).sum(axis=1))
    return ((left * right).sum(axis=1) / np.maximum(norms, 1e-12)).astype(np.float32)
