"""The asset of scores that were learned from preferences."""

import numpy as np
import polars as pl

from recap_assets.artefacts.captions import texts_of
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS, vectors_of
from recap_assets.artefacts.training import MODELS
from recap_assets.engines.small.preference import read_preference_head
from recap_assets.graph.node import Dependency, Node, Step
from recap_assets.graph.outside import outside_of
from recap_assets.graph.project import Project
from recap_assets.graph.texts import texts_read
from recap_assets.scores.kinds.reward.spec import RewardSpec
from recap_assets.scores.node import Scored, node_of
from recap_assets.scores.opened import embedder_of, embedding_scorer
from recap_assets.scores.texts import embedded_texts

VERSION = 1
_PAIR = ["shard", "uid", "candidate"]


def nodes_of(project: Project, name: str, source: str, spec: RewardSpec) -> list[Node]:
    """The scores of a source."""
    scorer = _scorer_of(project, spec)
    by = embedding_scorer(project, scorer)
    reads = (
        texts_read(source),
        Dependency(IMAGE_EMBEDDINGS.key(scorer), "same"),
        Dependency(MODELS.key(spec.model), "all"),
        *(Dependency(key, "all") for key in by.trained_by()),
    )
    return [
        node_of(
            project,
            name,
            source,
            lambda step: score_partition(project, source, spec, step),
            version=VERSION,
            reads=reads,
            outside=outside_of(project, by),
            beside={"embedded_by": by},
        )
    ]


def _scorer_of(project: Project, spec: RewardSpec) -> str:
    """The scorer whose embeddings its model learned on: the reference says that it has one."""
    return str(project.experiment.models[spec.model].model_dump(include={"scorer"})["scorer"])


def score_partition(project: Project, source: str, spec: RewardSpec, step: Step) -> Scored:
    """The score of every usable text whose image was embedded, in one pool partition."""
    tables, scorer = project.workspace.tables, _scorer_of(project, spec)
    texts = texts_of(tables, source, step.partition)
    images = tables.read(IMAGE_EMBEDDINGS, scorer=scorer, partition=step.partition)
    there = texts.drop_nulls("text").join(
        images.select("uid", "embedding"), on="uid", maintain_order="left"
    )
    embedder = embedder_of(project, scorer)
    head = read_preference_head(project.workspace.model(spec.model), embedder.embedding_dim)
    with embedded_texts(project, embedder, there["text"]) as vectors:
        known = vectors_of(there["embedding"]) if there.height else np.empty(vectors.shape, "f4")
        scores = pl.Series("score", head.score(known, vectors), dtype=pl.Float32)
    found = there.select(_PAIR).with_columns(scores)
    rows = texts.select(_PAIR).join(found, on=_PAIR, how="left", maintain_order="left")
    lost = {"no_image_embedding": texts["text"].drop_nulls().len() - there.height}
    return Scored(rows, texts, lost)
