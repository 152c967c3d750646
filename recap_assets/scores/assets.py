"""Image embeddings once for each scorer that has them, and the score of every caption."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.captions import texts_key, texts_of
from recap_assets.artefacts.histograms import score_histogram
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.previews import histogram_markdown, preview_markdown
from recap_assets.artefacts.scores import (
    CLIP_SCORES,
    IMAGE_EMBEDDINGS,
    SCORE_HISTOGRAMS,
    best_scores,
    vectors_of,
)
from recap_assets.engines.protocols import Scorer
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import Outside, both, metadata_outside, outside_of
from recap_assets.graph.project import Project
from recap_assets.graph.shardwise import of_readable, over_images
from recap_assets.scores.kind import ByEmbeddings, ByPairs
from recap_assets.scores.opened import embedder_of, embedding_scorer, scorers_of
from recap_assets.scores.pairs import score_pairs
from recap_assets.shards.metadata import EMBEDDINGS, metadata_embeddings, metadata_scores
from recap_assets.specs.base import deciding
from recap_assets.specs.sources import RAW

VERSION = 2
STAGE = "scores"
SECONDS_PER_IMAGE = 0.001
TEXTS_AT_ONCE = 8_192


def nodes(project: Project) -> list[Node]:
    """Embeddings for each scorer that embeds, scores for each scorer and source."""
    made: list[Node] = []
    for name, spec in scorers_of(project).items():
        if isinstance(spec, ByEmbeddings):
            made.append(_embeddings_node(project, name, spec))
        made += [_scores_node(project, name, spec, s) for s in project.experiment.source_names]
    return made


def _embeddings_node(project: Project, name: str, spec: ByEmbeddings) -> Node:
    return Node(
        key=IMAGE_EMBEDDINGS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(Dependency(RAW_POOL.key(), "same"), *_trained_by(spec)),
        implementation=VERSION,
        decides=deciding(scorer=spec),
        compute=lambda step: embed_partition(project, name, step),
        description=f"Unit-length image embeddings of {name}, computed once for all sources.",
        outside=both(outside_of(project, spec), _given_embeddings(project, spec)),
        content=StoredRows(project.workspace.tables, IMAGE_EMBEDDINGS, {"scorer": name}),
        seconds=SECONDS_PER_IMAGE * 1_000,
        pool=_lane(spec),
        kinds=(spec.framework, "deltalake"),
    )


def _scores_node(project: Project, name: str, spec: ByEmbeddings | ByPairs, source: str) -> Node:
    embeds = isinstance(spec, ByEmbeddings)
    reads = dict.fromkeys(
        [texts_key(source), IMAGE_EMBEDDINGS.key(name) if embeds else RAW_POOL.key()]
    )
    how = "Cosine" if embeds else "Score"
    return Node(
        key=CLIP_SCORES.key(name, source),
        stage=STAGE,
        dimension="pool",
        dependencies=(*(Dependency(key, "same") for key in reads), *_trained_by(spec)),
        implementation=VERSION,
        decides=deciding(scorer=spec, source=source),
        compute=lambda step: score_partition(project, name, source, step),
        description=f"{how} of image and caption for every caption of {source}, by {name}.",
        outside=both(outside_of(project, spec), _given_scores(project, spec, source)),
        content=StoredRows(
            project.workspace.tables,
            CLIP_SCORES,
            {"scorer": name, "source": source},
            beside=(SCORE_HISTOGRAMS,),
        ),
        seconds=SECONDS_PER_IMAGE * (500 if embeds else 1_000),
        pool=_lane(spec),
        kinds=(spec.framework, "deltalake"),
        checks=(_scores_in_range(project, name, source, embeds=embeds),),
    )


def _lane(spec: ByEmbeddings | ByPairs) -> Literal["gpu", "cpu"]:
    return "gpu" if spec.on_gpu else "cpu"


def _trained_by(spec: ByEmbeddings | ByPairs) -> tuple[Dependency, ...]:
    return tuple(Dependency(key, "all") for key in spec.trained_by())


def _given_embeddings(project: Project, spec: ByEmbeddings) -> Outside | None:
    return metadata_outside(project, EMBEDDINGS) if spec.given_embeddings else None


def _given_scores(project: Project, spec: ByEmbeddings | ByPairs, source: str) -> Outside | None:
    return metadata_outside(project) if spec.given_scores and source == RAW else None


def embed_partition(project: Project, name: str, step: Step) -> Rows:
    """Embed the images of one pool partition, shard by shard."""
    spec = embedding_scorer(project, name)
    images = project.usable_images(step.partition)
    if spec.given_embeddings:
        rows = _pool_embeddings(project, images, spec.given_embeddings)
    else:
        scorer = embedder_of(project, name)
        embed = of_readable(
            "embedding", pl.Binary, lambda images: _packed(scorer.embed_images(images))
        )
        schema = IMAGE_EMBEDDINGS.unsliced
        rows = over_images(project, step, images, spec.at_once, schema, embed)
    missing = images.height - rows.height
    rejected = {"image_unreadable": missing} if missing else {}
    return Rows(rows, rejected=rejected, machine=spec.given_by)


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


def score_partition(project: Project, name: str, source: str, step: Step) -> Rows:
    """Score every caption of one source in one pool partition."""
    spec = scorers_of(project)[name]
    texts = texts_of(project.workspace.tables, source, step.partition)
    rejected: Mapping[str, int] = {}
    if spec.given_scores and source == RAW:
        rows = _pool_scores(project, texts, spec.given_scores)
    elif isinstance(spec, ByPairs):
        rows, rejected = score_pairs(project, spec, texts, step)
    else:
        embeddings = project.workspace.tables.read(
            IMAGE_EMBEDDINGS, scorer=name, partition=step.partition
        )
        rows = score_texts(embedder_of(project, name), texts, embeddings, step)
    histogram = score_histogram(best_scores(rows))
    mean = rows["score"].mean()
    return Rows(
        rows,
        (histogram,),
        rejected=rejected,
        facts={"mean_score": round(float(mean), 4) if mean is not None else "none"},  # type: ignore[arg-type]
        markdown={
            "best_and_worst": preview_markdown(best_and_worst(rows, texts)),
            "histogram": histogram_markdown(histogram),
        },
        machine=spec.given_by,
    )


def _pool_scores(project: Project, texts: pl.DataFrame, column: str) -> pl.DataFrame:
    values = metadata_scores(metadata_folder(project), column, texts["uid"])
    return texts.drop("text").with_columns(score=pl.Series(values, dtype=pl.Float32))


def score_texts(
    scorer: Scorer, texts: pl.DataFrame, embeddings: pl.DataFrame, step: Step
) -> pl.DataFrame:
    """Cosines: shard, uid, candidate, score; null where text or image embedding is missing."""
    joined = texts.join(embeddings.select("uid", "embedding"), on="uid", how="left")
    pairs = joined.with_row_index("row").drop_nulls(["text", "embedding"])
    scores = np.full(joined.height, np.nan, dtype=np.float32)
    for start in range(0, pairs.height, TEXTS_AT_ONCE):
        part = pairs[start : start + TEXTS_AT_ONCE]
        distinct = part["text"].unique(maintain_order=True)
        place = dict(zip(distinct, range(len(distinct)), strict=True))
        vectors = scorer.embed_texts(distinct.to_list())
        index = np.fromiter((place[text] for text in part["text"]), dtype=np.int64)
        scores[part["row"].to_numpy()] = cosines(vectors_of(part["embedding"]), vectors[index])
        step.progress(min(start + TEXTS_AT_ONCE, pairs.height) / pairs.height)
    values = pl.Series("score", scores, dtype=pl.Float32).fill_nan(None)
    return joined.select("shard", "uid", "candidate").with_columns(values)


def cosines(images: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row-wise cosine of two (n, d) arrays, summed in float64 and rounded once."""
    left, right = images.astype(np.float64), texts.astype(np.float64)
    norms = np.sqrt((left * left).sum(axis=1) * (right * right).sum(axis=1))
    return ((left * right).sum(axis=1) / np.maximum(norms, 1e-12)).astype(np.float32)


def best_and_worst(rows: pl.DataFrame, texts: pl.DataFrame, n: int = 4) -> pl.DataFrame:
    """The `n` best and the `n` worst scored texts: score, text; all of them where there are few."""
    scored = rows.drop_nulls("score").join(texts, on=["uid", "candidate"])
    ranked = scored.sort("score", descending=True).select("score", "text")
    return ranked if ranked.height <= 2 * n else pl.concat([ranked.head(n), ranked.tail(n)])


def _scores_in_range(project: Project, scorer: str, source: str, *, embeds: bool) -> Check:
    def evaluate(partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.scan(CLIP_SCORES, scorer=scorer, source=source)
        score = pl.col("score")
        outside = score.is_not_null() & ~(score.is_finite() & score.is_between(-1.001, 1.001))
        figures = (
            rows.filter(pl.col("partition").is_in(partitions))
            .select(scores=pl.len(), unscored=score.null_count(), outside=outside.sum())
            .collect()
            .row(0, named=True)
        )
        return Verdict(figures["outside"] == 0, figures)

    name = "scores_are_cosines" if embeds else "scores_are_in_range"
    return Check(name, "Every score is finite and between -1 and 1.", evaluate)
