"""Near duplicates among embeddings: within clusters of k-means, as SemDeDup compares them.

K-means learns from a sample; every embedding goes to its nearest centroid's list on disk; of each
list every pair is compared by matrix products, some thousand rows at a time. In memory are the
sample, a few blocks of rows and 5 bytes an embedding; on disk 2 bytes a dimension. Source: Abbas et
al., SemDeDup (2023).
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts import in_own_memory, uid_hashes
from recap_assets.engines.errors import explain_loading, install_filters
from recap_assets.sets.kinds.unique.groups import Groups
from recap_assets.sets.kinds.unique.inverted_file import Halves, InvertedFile, Members
from recap_assets.sets.kinds.unique.samples import Parts
from recap_assets.sets.kinds.unique.spec import UniqueSpec
from recap_assets.sets.nearest import nearest_centroids

LEARNT_FROM = 64
"""Embeddings for each cluster that k-means learns from; faiss warns of fewer than 39."""

ITERATIONS = 20

_MARGIN = 1e-4
"""More than float32's rounding of a cosine: products of matrices are candidates, no more."""

_EXACT_AT_ONCE = 1 << 12


def alike_embeddings(parts: Parts, n: int, name: str, spec: UniqueSpec) -> Groups:
    """Groups of embeddings that are alike, by their positions among those of all parts.

    Args:
        parts: With `uid` and `key`, the embedding.
        n: Their number.
        name: The set, for messages.
        spec: The same.
    """
    groups, clusters = Groups(n), min(spec.clusters, n)
    if not n:
        return groups
    centroids = _learnt(parts, n, name, spec) if clusters > 1 else None
    dimension = next(len(one) // 2 for part in parts() for one in part["key"].head(1))
    with InvertedFile(clusters, dimension) as file:
        for part in parts():
            rows = _halves(part["key"], dimension)
            near = np.zeros(len(rows), np.int32)
            if centroids is not None:
                near = nearest_centroids(unit(rows), centroids)
            file.add(rows, near)
        for members in file.lists():
            join_alike(members, spec.cosine, groups)
    return groups


def _halves(packed: pl.Series, dimension: int) -> Halves:
    return np.frombuffer(b"".join(packed), "<f2").astype(np.float16).reshape(-1, dimension)


def unit(rows: Halves) -> NDArray[np.float32]:
    """The same at unit length."""
    wide = rows.astype(np.float32)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    return wide


def _learnt(parts: Parts, n: int, name: str, spec: UniqueSpec) -> NDArray[np.float32]:
    """Centroids of a sample: the embeddings with the lowest draws by (seed, uid)."""
    wanted = LEARNT_FROM * spec.clusters
    # A fifth more than should do, so that hardly a draw among the lowest is left out.
    most = min(1.2 * wanted / n, 1.0) * 2.0**64
    found = []
    for part in parts():
        draws = uid_hashes(spec.seed, "clusters", part["uid"])
        drawn = part.select("uid", "key", draw=pl.Series(draws))
        found.append(in_own_memory(drawn.filter(pl.Series(draws.astype(np.float64) <= most))))
    # By uid, so that neither shards nor their order decide where k-means begins.
    sample = pl.concat(found).sort("draw", "uid").head(wanted).sort("uid")
    vectors = unit(_halves(sample["key"], len(sample["key"][0]) // 2))
    with explain_loading(f"sets.{name}", install_filters()):
        from recap_assets.engines.clustering import k_means
    clusters = min(spec.clusters, len(vectors))
    return k_means(vectors, clusters, iterations=ITERATIONS, seed=spec.seed)


def join_alike(members: Members, cosine: float, groups: Groups) -> None:
    """Join the embeddings of one cluster whose cosine is at least `cosine`; every pair is compared.

    Pairs that are of one group already cost no more than their product.
    """
    for i in range(len(members.blocks)):
        rows, places = members.rows(i), members.positions(i)
        left = unit(rows)
        for j in range(i, len(members.blocks)):
            others = rows if i == j else members.rows(j)
            theirs = places if i == j else members.positions(j)
            products = left @ (left if i == j else unit(others)).T
            if i == j:
                products[np.tri(len(products), dtype=np.bool_)] = -2  # each pair once
            near = np.argwhere(products >= cosine - _MARGIN)
            for start in range(0, len(near), _EXACT_AT_ONCE):
                at = near[start : start + _EXACT_AT_ONCE]
                pairs = np.stack([places[at[:, 0]], theirs[at[:, 1]]], axis=1)
                apart = groups.are_apart(pairs)
                at, pairs = at[apart], pairs[apart]
                groups.join(pairs[_are_alike(rows[at[:, 0]], others[at[:, 1]], cosine)])


def _are_alike(ones: Halves, others: Halves, cosine: float) -> NDArray[np.bool_]:
    """Whether the cosine of two rows reaches the least one; each decided by its two rows alone."""
    a, b = ones.astype(np.float64), others.astype(np.float64)
    lengths = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return ((a * b).sum(axis=1) >= cosine * lengths) | (ones == others).all(axis=1)
