"""Image embeddings once for each scorer, and the score of every caption of every source."""

from collections.abc import Sequence

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
from recap_assets.artefacts.training import MODELS
from recap_assets.engines.protocols import Scorer
from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredRows
from recap_assets.graph.loaded import loaded_scorer
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.outside import Outside, both, metadata_outside, outside_of
from recap_assets.graph.project import Setting
from recap_assets.graph.shardwise import of_readable, over_images
from recap_assets.shards.metadata import EMBEDDINGS, metadata_embeddings, metadata_scores
from recap_assets.specs.base import deciding
from recap_assets.specs.experiment import RAW
from recap_assets.specs.pool import WebDatasetPool
from recap_assets.specs.scorers import EmbeddedScorer, OpenClipScorer
from recap_assets.specs.scorers import Scorer as ScorerSpec

VERSION = 2
STAGE = "scores"
SECONDS_PER_IMAGE = 0.001
TEXTS_AT_ONCE = 8_192


def nodes(setting: Setting) -> list[Node]:
    """Embeddings for each scorer, scores for each scorer and source."""
    made = []
    for scorer, spec in setting.experiment.scorers.items():
        made.append(_embeddings_node(setting, scorer, spec))
        sources = setting.experiment.source_names
        made += [_scores_node(setting, scorer, spec, source) for source in sources]
    return made


def _embeddings_node(setting: Setting, name: str, spec: ScorerSpec) -> Node:
    return Node(
        key=IMAGE_EMBEDDINGS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=(Dependency(RAW_POOL.key(), "same"), *trained_by(spec)),
        implementation=VERSION,
        decides=deciding(scorer=spec),
        compute=lambda step: embed_partition(setting, name, step),
        description=f"Unit-length image embeddings of {name}, computed once for all sources.",
        outside=both(outside_of(setting, spec), _given_embeddings(setting, spec)),
        content=StoredRows(setting.workspace.tables, IMAGE_EMBEDDINGS, {"scorer": name}),
        seconds=SECONDS_PER_IMAGE * 1_000,
        pool="gpu",
        kinds=("pytorch", "deltalake"),
    )


def _scores_node(setting: Setting, name: str, spec: ScorerSpec, source: str) -> Node:
    texts = texts_key(source)
    reads = dict.fromkeys([texts, IMAGE_EMBEDDINGS.key(name)])
    return Node(
        key=CLIP_SCORES.key(name, source),
        stage=STAGE,
        dimension="pool",
        dependencies=(*(Dependency(key, "same") for key in reads), *trained_by(spec)),
        implementation=VERSION,
        decides=deciding(scorer=spec, source=source),
        compute=lambda step: score_partition(setting, name, source, step),
        description=f"Cosine of image and caption for every caption of {source}, by {name}.",
        outside=both(outside_of(setting, spec), _given_scores(setting, spec, source)),
        content=StoredRows(
            setting.workspace.tables,
            CLIP_SCORES,
            {"scorer": name, "source": source},
            beside=(SCORE_HISTOGRAMS,),
        ),
        seconds=SECONDS_PER_IMAGE * 500,
        pool="gpu",
        kinds=("pytorch", "deltalake"),
        checks=(_scores_finite(setting, name, source),),
    )


def trained_by(spec: ScorerSpec) -> tuple[Dependency, ...]:
    """What the scorer's model is trained by here; nothing for one that comes from elsewhere."""
    return (Dependency(MODELS.key(spec.model), "all"),) if isinstance(spec, EmbeddedScorer) else ()


def _given_embeddings(setting: Setting, spec: ScorerSpec) -> Outside | None:
    is_given = isinstance(spec, OpenClipScorer) and spec.pool_embeddings
    return metadata_outside(setting, EMBEDDINGS) if is_given else None


def _given_scores(setting: Setting, spec: ScorerSpec, source: str) -> Outside | None:
    is_given = isinstance(spec, OpenClipScorer) and spec.pool_scores and source == RAW
    return metadata_outside(setting) if is_given else None


def embed_partition(setting: Setting, name: str, step: Step) -> Rows:
    """Embed the images of one pool partition, shard by shard."""
    spec = setting.experiment.scorers[name]
    images = setting.usable_images(step.partition)
    if isinstance(spec, OpenClipScorer) and spec.pool_embeddings:
        rows = _pool_embeddings(setting, images, spec.pool_embeddings)
    else:
        scorer = loaded_scorer(setting, spec)
        embed = of_readable(
            "embedding", pl.Binary, lambda images: _packed(scorer.embed_images(images))
        )
        schema = IMAGE_EMBEDDINGS.unsliced
        rows = over_images(setting, step, images, spec.batch_size, schema, embed)
    missing = images.height - rows.height
    return Rows(rows, rejected={"image_unreadable": missing} if missing else {})


def _packed(vectors: NDArray[np.float32]) -> list[bytes]:
    return [vector.tobytes() for vector in vectors.astype("<f2")]


def _pool_embeddings(setting: Setting, images: pl.DataFrame, key: str) -> pl.DataFrame:
    folder = metadata_folder(setting)
    vectors = metadata_embeddings(folder, key, images["uid"])
    found = np.atleast_1d(np.isfinite(vectors).all(axis=1))
    norms = np.linalg.norm(vectors[found].astype(np.float32), axis=1, keepdims=True)
    unit = vectors[found].astype(np.float32) / np.maximum(norms, 1e-12)
    kept = images.filter(pl.Series(found)).select("shard", "uid")
    return kept.with_columns(embedding=pl.Series(_packed(unit), dtype=pl.Binary))


def metadata_folder(setting: Setting) -> str:
    """The pool's metadata.

    Raises:
        ValueError: The pool has none.
    """
    pool_spec = setting.pool
    if not isinstance(pool_spec, WebDatasetPool) or pool_spec.metadata is None:
        msg = "the scorer uses the pool's own scores or embeddings, but `pool.metadata` is not set"
        raise ValueError(msg)
    return pool_spec.metadata


def score_partition(setting: Setting, name: str, source: str, step: Step) -> Rows:
    """Score every caption of one source in one pool partition."""
    spec = setting.experiment.scorers[name]
    texts = texts_of(setting.workspace.tables, source, step.partition)
    if isinstance(spec, OpenClipScorer) and spec.pool_scores and source == RAW:
        values = metadata_scores(metadata_folder(setting), spec.pool_scores, texts["uid"])
        rows = texts.drop("text").with_columns(score=pl.Series(values, dtype=pl.Float32))
    else:
        embeddings = setting.workspace.tables.read(
            IMAGE_EMBEDDINGS, scorer=name, partition=step.partition
        )
        rows = score_texts(loaded_scorer(setting, spec), texts, embeddings, step)
    histogram = score_histogram(best_scores(rows))
    mean = rows["score"].mean()
    return Rows(
        rows,
        (histogram,),
        facts={"mean_score": round(float(mean), 4) if mean is not None else "none"},  # type: ignore[arg-type]
        markdown={
            "best_and_worst": preview_markdown(best_and_worst(rows, texts)),
            "histogram": histogram_markdown(histogram),
        },
    )


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


def _scores_finite(setting: Setting, scorer: str, source: str) -> Check:
    def judge(partitions: Sequence[str]) -> Verdict:
        rows = setting.workspace.tables.scan(CLIP_SCORES, scorer=scorer, source=source)
        score = pl.col("score")
        outside = score.is_not_null() & ~(score.is_finite() & score.is_between(-1.001, 1.001))
        figures = (
            rows.filter(pl.col("partition").is_in(partitions))
            .select(scores=pl.len(), unscored=score.null_count(), outside=outside.sum())
            .collect()
            .row(0, named=True)
        )
        return Verdict(figures["outside"] == 0, figures)

    return Check("scores_are_cosines", "Every score is finite and between -1 and 1.", judge)
