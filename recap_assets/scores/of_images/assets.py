"""Scores of the image alone, by heads over cached embeddings or by classifiers."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS, IMAGE_SCORES
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import outside_of
from recap_assets.graph.project import Setting
from recap_assets.graph.shardwise import of_readable, over_images
from recap_assets.specs.base import deciding
from recap_assets.specs.image_scorers import EmbeddingHead, ImageClassifier, ImageScorer

VERSION = 2
STAGE = "scores"
SECONDS_PER_IMAGE = 0.001


def nodes(setting: Setting) -> list[Node]:
    """A node for each scorer of images."""
    return [_node(setting, *item) for item in setting.experiment.image_scorers.items()]


def _node(setting: Setting, name: str, spec: ImageScorer) -> Node:
    by_head = isinstance(spec, EmbeddingHead)
    reads = IMAGE_EMBEDDINGS.key(spec.scorer) if by_head else RAW_POOL.key()
    return Node(
        key=IMAGE_SCORES.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(Dependency(reads, "same"),),
        implementation=VERSION,
        decides=deciding(scorer=spec),
        compute=lambda step: score_partition(setting, name, step),
        description=f"A score of every usable image by {name} ({spec.kind}), whatever its texts.",
        outside=outside_of(setting, spec),
        content=StoredRows(setting.workspace.tables, IMAGE_SCORES, {"scorer": name}),
        seconds=SECONDS_PER_IMAGE * (10 if by_head else 1_000),
        pool="cpu" if by_head else "gpu",
        kinds=("pytorch", "deltalake"),
        checks=(_scores_finite(setting, name),),
    )


def score_partition(setting: Setting, name: str, step: Step) -> Rows:
    """Score the images of one pool partition."""
    spec = setting.experiment.image_scorers[name]
    images = setting.usable_images(step.partition)
    if isinstance(spec, EmbeddingHead):
        rows = _by_head(setting, spec, step)
    else:
        rows = _by_classifier(setting, spec, images, step)
    unscored = images.height - rows.height
    mean = rows["score"].mean()
    return Rows(
        rows,
        rejected={"image_unreadable": unscored} if unscored else {},
        facts={"mean_score": round(float(mean), 4) if mean is not None else "none"},  # type: ignore[arg-type]
    )


def _by_head(setting: Setting, spec: EmbeddingHead, step: Step) -> pl.DataFrame:
    from recap_assets.scores.of_images.kinds.head.engine import load_head

    head = load_head(spec)
    rows = setting.workspace.tables.read(
        IMAGE_EMBEDDINGS, scorer=spec.scorer, partition=step.partition
    )
    if rows.is_empty():
        return IMAGE_SCORES.unsliced.to_frame()
    packed = b"".join(rows["embedding"])
    vectors = np.frombuffer(packed, dtype="<f2").reshape(rows.height, -1).astype(np.float32)
    return rows.select("shard", "uid").with_columns(score=pl.Series(head.score(vectors)))


def _by_classifier(
    setting: Setting, spec: ImageClassifier, images: pl.DataFrame, step: Step
) -> pl.DataFrame:
    from recap_assets.scores.of_images.kinds.classifier.engine import load_image_classifier

    score = of_readable("score", pl.Float32, load_image_classifier(spec).score)
    return over_images(setting, step, images, spec.batch_size, IMAGE_SCORES.unsliced, score)


def _scores_finite(setting: Setting, name: str) -> Check:
    def judge(partitions: Sequence[str]) -> Verdict:
        rows = setting.workspace.tables.scan(IMAGE_SCORES, scorer=name)
        figures = (
            rows.filter(pl.col("partition").is_in(partitions))
            .select(scores=pl.len(), not_finite=(~pl.col("score").is_finite()).sum())
            .collect()
            .row(0, named=True)
        )
        return Verdict(figures["not_finite"] == 0, figures)

    return Check("scores_are_finite", "Every score is a finite number.", judge)
