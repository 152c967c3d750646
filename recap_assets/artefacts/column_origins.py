"""Which columns of what is read each column of a table is made of, for Dagster's column lineage.

Only what holds for every kind is listed. A table that may be made in many ways, as by kinds of
other packages, names the columns that all of them have in common.
"""

from collections.abc import Collection, Mapping

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.diversity import DIVERSITY_STATISTICS, DIVERSITY_SUMMARY
from recap_assets.artefacts.evaluation import EVALUATION_IMAGES, EVALUATION_RESULTS
from recap_assets.artefacts.facets import (
    ASIDE,
    CHOSEN,
    FILES,
    FIRST_TEXTS,
    HASHES,
    IMAGES,
    KEYS,
    SAMPLES,
    SEEN,
    SEEN_SOURCES,
    SHARES,
    SIZES,
    TEXTS,
)
from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.pool import POOL_COLUMNS, RAW_POOL
from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.artefacts.scores import (
    CLIP_SCORES,
    IMAGE_EMBEDDINGS,
    IMAGE_SCORES,
    SCORE_SCALES,
    TARGET_EMBEDDINGS,
)
from recap_assets.artefacts.sets import (
    CLUSTER_CENTROIDS,
    CLUSTER_CUTS,
    DUPLICATES,
    ENTRY_COUNTS,
    ENTRY_PROBABILITIES,
    IMAGE_CLUSTERS,
    TARGET_CLUSTERS,
    TEXT_COUNTS,
    TEXT_FREQUENCIES,
    TEXT_LANGUAGES,
    TEXT_SIGNATURES,
    UID_SETS,
)
from recap_assets.artefacts.table import Table
from recap_assets.artefacts.training import TRAINING_PAIRS

Origin = tuple[Table, tuple[str, ...]]
"""A table that is read, and columns of it."""

_IMAGE: Origin = (RAW_POOL, ("offset", "size"))
_TEXTS: tuple[Origin, ...] = tuple(
    (table, ("text",)) for table in (RAW_POOL, SYNTHETIC_CAPTIONS, POOL_COLUMNS)
)
_SCORES: tuple[Origin, ...] = ((CLIP_SCORES, ("score",)), (IMAGE_SCORES, ("score",)))
_PAIRS: tuple[Origin, ...] = ((CURATED_MIXES, ("uid", "image_hash", "text", "weight", "copies")),)
_EMBEDDING: Origin = (IMAGE_EMBEDDINGS, ("embedding",))


def _same(*tables: Table, columns: tuple[str, ...] = ("uid",)) -> dict[str, tuple[Origin, ...]]:
    """Columns that are copied as they are from whichever of the tables has them."""
    return {
        name: tuple((table, (name,)) for table in tables if name in table.columns)
        for name in columns
    }


_SHARD_AND_UID = ("shard", "uid")

ORIGINS: Mapping[str, Mapping[str, tuple[Origin, ...]]] = {
    POOL_COLUMNS.name: _same(RAW_POOL, columns=_SHARD_AND_UID),
    SYNTHETIC_CAPTIONS.name: {
        **_same(RAW_POOL, SYNTHETIC_CAPTIONS, columns=_SHARD_AND_UID),
        "text": (_IMAGE, *_TEXTS),
    },
    IMAGE_EMBEDDINGS.name: {**_same(RAW_POOL, columns=_SHARD_AND_UID), "embedding": (_IMAGE,)},
    TARGET_EMBEDDINGS.name: {},
    CLIP_SCORES.name: {
        **_same(RAW_POOL, SYNTHETIC_CAPTIONS, CLIP_SCORES, columns=_SHARD_AND_UID),
        **_same(SYNTHETIC_CAPTIONS, CLIP_SCORES, columns=("candidate",)),
        "score": (*_TEXTS, _EMBEDDING, *_SCORES, (SCORE_SCALES, ("value",))),
    },
    SCORE_SCALES.name: {"value": _SCORES},
    IMAGE_SCORES.name: {
        **_same(RAW_POOL, IMAGE_EMBEDDINGS, columns=_SHARD_AND_UID),
        "score": (_IMAGE, _EMBEDDING, (TARGET_EMBEDDINGS, ("embedding",))),
    },
    TEXT_LANGUAGES.name: {
        **_same(RAW_POOL, SYNTHETIC_CAPTIONS),
        "language": _TEXTS,
        "probability": _TEXTS,
    },
    CLUSTER_CENTROIDS.name: {"centroid": (_EMBEDDING,)},
    TARGET_CLUSTERS.name: {
        "cluster": ((CLUSTER_CENTROIDS, ("cluster", "centroid")),),
        "n_images": ((TARGET_EMBEDDINGS, ("embedding",)),),
    },
    IMAGE_CLUSTERS.name: {
        **_same(IMAGE_EMBEDDINGS),
        "cluster": (_EMBEDDING, (CLUSTER_CENTROIDS, ("cluster", "centroid"))),
    },
    CLUSTER_CUTS.name: _same(IMAGE_CLUSTERS, columns=("cluster", "rank", "uid")),
    TEXT_COUNTS.name: {"key": _TEXTS, "image": ((RAW_POOL, ("sha256",)),), "n": _TEXTS},
    TEXT_FREQUENCIES.name: _same(TEXT_COUNTS, columns=("key", "n")),
    ENTRY_COUNTS.name: {"n": _TEXTS},
    ENTRY_PROBABILITIES.name: {
        **_same(ENTRY_COUNTS, columns=("language", "entry", "n")),
        "probability": ((ENTRY_COUNTS, ("n",)),),
    },
    TEXT_SIGNATURES.name: {**_same(RAW_POOL, SYNTHETIC_CAPTIONS), "same": _TEXTS, "bands": _TEXTS},
    DUPLICATES.name: _same(TEXT_SIGNATURES, IMAGE_EMBEDDINGS, RAW_POOL),
    UID_SETS.name: _same(RAW_POOL, IMAGE_CLUSTERS, TEXT_LANGUAGES, IMAGE_EMBEDDINGS),
    DIVERSITY_STATISTICS.name: dict.fromkeys(
        ("n_captions", "n_words", "words_sketch", "sample_texts"), _TEXTS
    ),
    DIVERSITY_SUMMARY.name: {
        **_same(DIVERSITY_STATISTICS, columns=("source", "n_captions")),
        "words_per_caption": ((DIVERSITY_STATISTICS, ("n_words", "n_captions")),),
        "unique_trigrams": ((DIVERSITY_STATISTICS, ("sample_texts",)),),
    },
    THRESHOLDS.name: dict.fromkeys(("population", "value", "n_at_or_above", "n_tied"), _SCORES),
    CURATED_MIXES.name: {
        **_same(RAW_POOL, SYNTHETIC_CAPTIONS, columns=_SHARD_AND_UID),
        **_same(SYNTHETIC_CAPTIONS, columns=("candidate",)),
        "text": _TEXTS,
        "score": ((CLIP_SCORES, ("score",)),),
        "rule": (*_SCORES, (THRESHOLDS, ("value",)), (UID_SETS, ("uid",))),
        "image_hash": ((RAW_POOL, ("sha256",)),),
    },
    TRAINING_PAIRS.name: {
        "n_pairs": ((CURATED_MIXES, ("copies",)),),
        "n_images": ((CURATED_MIXES, ("uid",)),),
        "pairs": _PAIRS,
        "sum": _PAIRS,
    },
    EVALUATION_IMAGES.name: {"n_pool_matches": ((RAW_POOL, ("perceptual_hash",)),)},
    LEADERBOARD.name: {
        **_same(EVALUATION_RESULTS, columns=("mix", "task", "metric")),
        "mean": ((EVALUATION_RESULTS, ("value",)),),
        "deviation": ((EVALUATION_RESULTS, ("value",)),),
        "n_seeds": ((EVALUATION_RESULTS, ("seed",)),),
        "n_pairs": ((CURATED_MIXES, ("uid",)),),
        "raw_share": ((CURATED_MIXES, ("source",)),),
    },
}
"""For each table and column what it is made of. What an asset does not read is left out of it."""

_OF_FACETS: Mapping[str, frozenset[str]] = {
    IMAGES: frozenset({"shard", "uid", "sha256", "key", "offset", "size"}),
    TEXTS: frozenset({"shard", "uid", "candidate", "text"}),
    FIRST_TEXTS: frozenset({"uid", "text"}),
    SAMPLES: frozenset({"shard", "uid"}),
    SIZES: frozenset({"uid", "width", "height"}),
    HASHES: frozenset({"uid", "perceptual_hash"}),
    KEYS: frozenset({"shard", "uid", "key"}),
    FILES: frozenset({
        "uid", "key", "offset", "size", "sha256", "image_format", "width", "height",
        "original_width", "original_height", "url",
    }),
    ASIDE: frozenset({"reject_reason"}),
    SEEN: frozenset({"uid", "image_hash", "text", "weight", "copies"}),
    SEEN_SOURCES: frozenset({"uid", "image_hash", "text", "weight", "copies", "source"}),
    SHARES: frozenset({"source"}),
    CHOSEN: frozenset({"uid", "source", "candidate", "text", "score", "rule", "copies"}),
}  # fmt: skip


def columns_read(columns: Collection[str], facets: Collection[str]) -> list[str]:
    """Those of the columns that are read with these facets; with none, all of them."""
    if not facets:
        return list(columns)
    read = frozenset[str]().union(*(_OF_FACETS.get(facet, frozenset()) for facet in facets))
    return [name for name in columns if name in read]
