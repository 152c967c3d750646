"""Scores of the image alone, by its embedding or by its pixels."""

from collections.abc import Mapping, Sequence

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS, IMAGE_SCORES, vectors_of
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredRows
from recap_assets.graph.loaded import KeptOpen
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import outside_of
from recap_assets.graph.project import Project
from recap_assets.graph.shardwise import of_readable, over_images
from recap_assets.scores.of_images.kind import OfEmbeddings, OfImages
from recap_assets.specs.base import deciding
from recap_assets.specs.kinds import KindError

VERSION = 2
STAGE = "scores"
SECONDS_PER_IMAGE = 0.001
_KEPT = KeptOpen()


def nodes(project: Project) -> list[Node]:
    """A node for each scorer of images."""
    return [_node(project, *item) for item in image_scorers_of(project).items()]


def image_scorers_of(project: Project) -> Mapping[str, OfImages | OfEmbeddings]:
    """The scorers of images by name.

    Raises:
        KindError: A kind of another package is none.
    """
    found: dict[str, OfImages | OfEmbeddings] = {}
    for name, spec in project.experiment.image_scorers.items():
        if not isinstance(spec, OfImages | OfEmbeddings):
            of = f"{type(spec).__name__} of {spec.distribution}"
            msg = f"image_scorers.{name}: {of} is neither OfImages nor OfEmbeddings"
            raise KindError(msg)
        found[name] = spec
    return found


def _node(project: Project, name: str, spec: OfImages | OfEmbeddings) -> Node:
    looks = isinstance(spec, OfImages)
    reads = RAW_POOL.key() if looks else IMAGE_EMBEDDINGS.key(spec.embedded_by)
    trained = (Dependency(key, "all") for key in spec.trained_by())
    return Node(
        key=IMAGE_SCORES.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(Dependency(reads, "same"), *trained),
        implementation=VERSION,
        decides=deciding(scorer=spec),
        compute=lambda step: score_partition(project, name, step),
        description=f"A score of every usable image by {name} ({spec.word}), whatever its texts.",
        outside=outside_of(project, spec),
        content=StoredRows(project.workspace.tables, IMAGE_SCORES, {"scorer": name}),
        seconds=SECONDS_PER_IMAGE * (1_000 if looks else 10),
        pool="gpu" if spec.on_gpu else "cpu",
        kinds=(spec.framework, "deltalake"),
        checks=(_scores_finite(project, name),),
    )


def score_partition(project: Project, name: str, step: Step) -> Rows:
    """Score the images of one pool partition; those without a score are left out and counted."""
    spec = image_scorers_of(project)[name]
    images = project.usable_images(step.partition)
    if isinstance(spec, OfImages):
        found = _of_images(project, spec, images, step)
    else:
        found = _of_embeddings(project, spec, step)
    rows = found.filter(pl.col("score").is_not_nan())
    lost = {
        "image_unreadable": images.height - found.height,
        "not_scored": found.height - rows.height,
    }
    mean = rows["score"].mean()
    return Rows(
        rows,
        rejected={reason: n for reason, n in lost.items() if n},
        facts={"mean_score": round(float(mean), 4) if mean is not None else "none"},  # type: ignore[arg-type]
        machine=spec.given_by,
    )


def _of_embeddings(project: Project, spec: OfEmbeddings, step: Step) -> pl.DataFrame:
    scorer = _KEPT.opened(project, spec)
    rows = project.workspace.tables.read(
        IMAGE_EMBEDDINGS, scorer=spec.embedded_by, partition=step.partition
    )
    if rows.is_empty():
        return IMAGE_SCORES.unsliced.to_frame()
    scores = pl.Series("score", scorer.score(vectors_of(rows["embedding"])), pl.Float32)
    return rows.select("shard", "uid").with_columns(scores)


def _of_images(project: Project, spec: OfImages, images: pl.DataFrame, step: Step) -> pl.DataFrame:
    score = of_readable("score", pl.Float32, _KEPT.opened(project, spec).score)
    return over_images(project, step, images, spec.at_once, IMAGE_SCORES.unsliced, score)


def _scores_finite(project: Project, name: str) -> Check:
    def evaluate(partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.scan(IMAGE_SCORES, scorer=name)
        figures = (
            rows.filter(pl.col("partition").is_in(partitions))
            .select(scores=pl.len(), not_finite=(~pl.col("score").is_finite()).sum())
            .collect()
            .row(0, named=True)
        )
        return Verdict(figures["not_finite"] == 0, figures)

    return Check("scores_are_finite", "Every score is a finite number.", evaluate)
