"""The asset of a negCLIPLoss."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.captions import texts_of
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS, vectors_of
from recap_assets.graph.node import Dependency, Node, Step
from recap_assets.graph.outside import outside_of
from recap_assets.graph.project import Project
from recap_assets.graph.texts import texts_read
from recap_assets.scores.kinds.clip_loss.formula import Float64s, batches, normalisers, unit
from recap_assets.scores.kinds.clip_loss.spec import NegClipLossSpec
from recap_assets.scores.node import Scored, node_of
from recap_assets.scores.opened import embedder_of, embedding_scorer
from recap_assets.scores.texts import embedded_texts

VERSION = 1

_PAIR = ["shard", "uid", "candidate"]


def nodes_of(project: Project, name: str, source: str, spec: NegClipLossSpec) -> list[Node]:
    """The scores of a source."""
    embedder = embedding_scorer(project, spec.scorer)
    return [
        node_of(
            project,
            name,
            source,
            lambda step: score_partition(project, source, spec, step),
            version=VERSION,
            reads=(
                texts_read(source),
                Dependency(IMAGE_EMBEDDINGS.key(spec.scorer), "same"),
                *(Dependency(key, "all") for key in embedder.trained_by()),
            ),
            outside=outside_of(project, embedder),
            beside={"embedded_by": embedder},
        )
    ]


def score_partition(project: Project, source: str, spec: NegClipLossSpec, step: Step) -> Scored:
    """The score of every text with an image embedding in one pool partition."""
    tables = project.workspace.tables
    texts = texts_of(tables, source, step.partition)
    embeddings = tables.read(IMAGE_EMBEDDINGS, scorer=spec.scorer, partition=step.partition)
    joined = texts.join(embeddings.select("uid", "embedding"), on="uid", how="left")
    pairs = joined.drop_nulls(["text", "embedding"]).sort("candidate", "uid")
    with embedded_texts(project, embedder_of(project, spec.scorer), pairs["text"]) as vectors:
        scores = _scores(pairs, vectors, spec, step)
    found = pairs.select(*_PAIR, score=pl.Series(scores, dtype=pl.Float32))
    rows = texts.select(_PAIR).join(found, on=_PAIR, how="left", maintain_order="left")
    lost = texts["text"].drop_nulls().len() - pairs.height
    return Scored(rows, texts, {"image_unreadable": lost})


def _scores(
    pairs: pl.DataFrame, texts: NDArray[np.float32], spec: NegClipLossSpec, step: Step
) -> Float64s:
    """The score of each row, which are sorted by candidate and uid."""
    losses, cosines = np.zeros(pairs.height), np.zeros(pairs.height)
    numbered = pairs.with_row_index("place").partition_by("candidate", maintain_order=True)
    for number in range(spec.rounds):
        for rows in numbered:
            for chosen in batches(rows["uid"], spec.seed, number, spec.batch_size):
                at = rows["place"].to_numpy()[chosen]
                images = unit(vectors_of(rows["embedding"].gather(chosen)))
                captions = unit(texts[at])
                losses[at] += normalisers(images, captions, spec.temperature)
                cosines[at] = (images * captions).sum(axis=1)
        step.progress((number + 1) / spec.rounds)
    return cosines - losses / spec.rounds
