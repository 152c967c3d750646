"""The score of every caption by every scorer, and the image embeddings that scores need."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from recap_assets.artefacts.captions import texts_of
from recap_assets.artefacts.facets import IMAGES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_EMBEDDINGS, vectors_of
from recap_assets.engines.protocols import Scorer
from recap_assets.graph.by_row import by_row
from recap_assets.graph.kept_rows import ByRow, input_hashes
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import Outside, both, metadata_outside, outside_of
from recap_assets.graph.project import Project
from recap_assets.graph.texts import texts_read
from recap_assets.scores.embeddings import cosines, embeddings_node, metadata_folder
from recap_assets.scores.kind import ByEmbeddings, ByPairs, ByTexts, OwnScores
from recap_assets.scores.node import (
    Scored,
    node_of,
    scored_rows,
    scores_in,
)
from recap_assets.scores.opened import (
    Kinds,
    embedder_of,
    scorer_named,
    scorers_of,
    text_scorer_of,
)
from recap_assets.scores.pairs import score_pairs
from recap_assets.shards.metadata import metadata_scores
from recap_assets.specs.sources import RAW

VERSION = 2
TEXTS_AT_ONCE = 8_192

Opened = ByEmbeddings | ByPairs | ByTexts
"""Kinds whose scores the platform computes."""

SCORES_BY_ROW = ByRow(CLIP_SCORES, names=("source",), retried=pl.col("score").is_null())
"""The name of a source decides no score; a text without one is scored again."""

_PAIR = ["shard", "uid", "candidate"]


def nodes(project: Project) -> list[Node]:
    """Embeddings for each scorer that embeds, scores for each scorer and source."""
    made: dict[str, Node] = {}
    for name, spec in scorers_of(project).items():
        for node in _nodes_of(project, name, spec):
            made.setdefault(node.key, node)
    return list(made.values())


def _nodes_of(project: Project, name: str, spec: Kinds) -> Iterator[Node]:
    if isinstance(spec, ByEmbeddings):
        yield embeddings_node(project, name)
    for source in project.experiment.source_names:
        if isinstance(spec, OwnScores):
            yield from spec.nodes(name, source, project)
        else:
            yield _scores_node(project, name, spec, source)


def _scores_node(project: Project, name: str, spec: Opened, source: str) -> Node:
    trained = (Dependency(key, "all") for key in spec.trained_by())
    node = node_of(
        project,
        name,
        source,
        lambda step: _scored(project, name, source, step),
        version=VERSION,
        reads=(*_read_of_samples(name, spec, source), *trained),
        outside=both(outside_of(project, spec), _given_scores(project, spec, source)),
    )
    is_given = spec.given_scores and source == RAW
    return node if is_given else replace(node, rows=SCORES_BY_ROW)


def _read_of_samples(name: str, spec: Opened, source: str) -> Iterator[Dependency]:
    """The texts, and what the scorer reads of their images."""
    yield texts_read(source)
    if isinstance(spec, ByEmbeddings):
        yield Dependency(IMAGE_EMBEDDINGS.key(name), "same")
    elif not isinstance(spec, ByTexts):
        yield Dependency(RAW_POOL.key(), "same", (IMAGES,))


def _given_scores(project: Project, spec: Opened, source: str) -> Outside | None:
    return metadata_outside(project) if spec.given_scores and source == RAW else None


def score_partition(project: Project, name: str, source: str, step: Step) -> Rows:
    """Score every caption of one source in one pool partition."""
    return scored_rows(project, name, source, _scored(project, name, source, step), step)


def _scored(project: Project, name: str, source: str, step: Step) -> Scored:
    spec = scorer_named(project, name)
    texts = texts_of(project.workspace.tables, source, step.partition)
    if spec.given_scores and source == RAW:
        return Scored(_pool_scores(project, texts, spec.given_scores), texts)
    if isinstance(spec, ByPairs):
        return score_pairs(project, spec, texts, step)
    if isinstance(spec, ByTexts):
        return score_texts_alone(project, spec, texts, step)
    embeddings = project.workspace.tables.read(
        IMAGE_EMBEDDINGS, scorer=name, partition=step.partition
    )
    return Scored(_by_embeddings(project, name, texts, embeddings, step), texts)


def _pool_scores(project: Project, texts: pl.DataFrame, column: str) -> pl.DataFrame:
    values = metadata_scores(metadata_folder(project), column, texts["uid"])
    return texts.drop("text").with_columns(score=pl.Series(values, dtype=pl.Float32))


def _by_embeddings(
    project: Project, name: str, texts: pl.DataFrame, embeddings: pl.DataFrame, step: Step
) -> pl.DataFrame:
    """A row for each text; its score is null where it or the image's embedding is missing."""
    images = embeddings.select("uid", "embedding")
    pairs = texts.drop_nulls("text").join(images, on="uid", maintain_order="left")
    wanted = pairs.with_columns(input_hashes(pairs, "embedding", "text"))

    def scored(step: Step, pairs: pl.DataFrame) -> pl.DataFrame:
        return score_texts(embedder_of(project, name), pairs, step)

    found = by_row(step, CLIP_SCORES, wanted, scored)
    return texts.select(_PAIR).join(found, on=_PAIR, how="left", maintain_order="left")


def score_texts(scorer: Scorer, pairs: pl.DataFrame, step: Step) -> pl.DataFrame:
    """Cosines: shard, uid, candidate, score, of rows that have `text` and `embedding` beside."""
    scores = np.full(pairs.height, np.nan, dtype=np.float32)
    for start in range(0, pairs.height, TEXTS_AT_ONCE):
        part = pairs[start : start + TEXTS_AT_ONCE]
        distinct = part["text"].unique(maintain_order=True)
        place = dict(zip(distinct, range(len(distinct)), strict=True))
        vectors = scorer.embed_texts(distinct.to_list())
        index = np.fromiter((place[text] for text in part["text"]), dtype=np.int64)
        scores[start : start + part.height] = cosines(vectors_of(part["embedding"]), vectors[index])
        step.progress(min(start + TEXTS_AT_ONCE, pairs.height) / pairs.height)
    values = pl.Series("score", scores, dtype=pl.Float32).fill_nan(None)
    return pairs.select(_PAIR).with_columns(values)


def score_texts_alone(project: Project, spec: ByTexts, texts: pl.DataFrame, step: Step) -> Scored:
    """Scores of texts whatever their images; each distinct text of some is scored once."""
    there = texts.drop_nulls("text")

    def scored(step: Step, rows: pl.DataFrame) -> pl.DataFrame:
        parts: list[pl.DataFrame] = []
        with text_scorer_of(project, spec) as scorer:
            for start in range(0, rows.height, TEXTS_AT_ONCE):
                part = rows[start : start + TEXTS_AT_ONCE]
                distinct = part.select(pl.col("text").unique(maintain_order=True))
                given = scorer.score(distinct["text"].to_list())
                found = distinct.with_columns(scores_in(spec, given, distinct.height, "text"))
                parts.append(part.join(found, on="text", how="left").select(*_PAIR, "score"))
                step.progress(min(start + TEXTS_AT_ONCE, rows.height) / rows.height)
        return pl.concat(parts)

    wanted = there.with_columns(input_hashes(there, "text"))
    found = by_row(step, CLIP_SCORES, wanted, scored)
    rows = texts.select(_PAIR).join(found, on=_PAIR, how="left", maintain_order="left")
    unscored = there.height - found["score"].drop_nulls().len()
    return Scored(rows, texts, {"not_scored": unscored})
