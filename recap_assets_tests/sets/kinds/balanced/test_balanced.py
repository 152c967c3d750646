"""Balanced sets agree uid for uid with a plain implementation, on many random rows."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recap_assets.artefacts import CLUSTER_CENTROIDS
from recap_assets.artefacts.uids import uid_uniform
from recap_assets.sets.kinds.balanced.cuts import Cuts
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.sets.many_rows import (
    NAME,
    Found,
    Sample,
    built,
    held_to,
    in_parts,
    project_of,
    samples,
    why_not,
    write_part,
)
from recap_assets_tests.tiny import tiny_experiment

CLUSTERS, PER_CLUSTER, DIMENSION = 12, 150, 5
SPEC = {
    "kind": "balanced", "scorer": "clip", "clusters": CLUSTERS, "per_cluster": PER_CLUSTER,
    "sample": 0.2, "seed": 4,
}  # fmt: skip
MIDDLES = np.random.default_rng(1).normal(size=(30, DIMENSION))


def sample(draw: np.random.Generator, i: int) -> dict[str, Any]:
    # Clusters of unequal size; scores that tie, and some that are missing.
    middle = MIDDLES[int(30 * draw.random() ** 2)]
    vector = (middle + draw.normal(0, 0.2, DIMENSION)).astype(np.float16)
    score = None if i % 37 == 0 else float(np.float32(round(draw.normal(0.25, 0.05), 2)))
    return {"vector": None if i % 53 == 0 else vector, "score": score}


@pytest.fixture(scope="module")
def pool() -> list[Sample]:
    return samples(sample)


def centroids_of(found: Found) -> np.ndarray:
    rows = found.project.workspace.tables.read(CLUSTER_CENTROIDS, set=NAME).sort("cluster")
    return np.frombuffer(b"".join(rows["centroid"]), "<f4").reshape(len(rows), -1)


def by_cluster(pool: list[Sample], centroids: np.ndarray) -> dict[int, list[Sample]]:
    found = [one for one in pool if one.is_usable and one.vector is not None]
    vectors = np.array([one.vector for one in found], np.float64)
    distances = ((vectors[:, None] - centroids.astype(np.float64)) ** 2).sum(axis=2)
    groups: dict[int, list[Sample]] = defaultdict(list)
    for one, cluster in zip(found, distances.argmin(axis=1).tolist(), strict=True):
        groups[cluster].append(one)
    return groups


def test_the_best_of_each_cluster_are_taken(pool: list[Sample], tmp_path: Path) -> None:
    spec = {**SPEC, "best_by": "raw"}
    centroids = centroids_of(built(project_of(tmp_path / "first", [pool], spec)))
    expected = set()
    for group in by_cluster(pool, centroids).values():
        scored = [one for one in group if one.score is not None]
        best = sorted(scored, key=lambda one: (-one.score, one.uid))  # type: ignore[operator]
        expected |= {one.uid for one in best[:PER_CLUSTER]}
    found = held_to(expected, pool, tmp_path, spec)
    assert np.array_equal(centroids_of(found), centroids)
    assert set(found.reasons) == {"no_embedding", "no_score", "full_cluster"}
    left_out = next(
        one for one in pool if one.is_usable and one.score and one.vector is not None
        and one.uid not in found.members
    )  # fmt: skip
    (why,) = why_not(found, left_out.uid)
    assert f"has more than {PER_CLUSTER} images" in why
    assert f"this one {left_out.score:.4f}" in why
    assert why_not(found, next(iter(found.members))) == []


def test_or_some_are_drawn(pool: list[Sample], tmp_path: Path) -> None:
    centroids = centroids_of(built(project_of(tmp_path / "first", [pool], SPEC)))
    expected = set()
    for group in by_cluster(pool, centroids).values():
        numbers = uid_uniform(4, pl.Series([one.uid for one in group]), "balanced")
        expected |= {group[i].uid for i in np.argsort(numbers)[:PER_CLUSTER]}
    held_to(expected, pool, tmp_path, SPEC)


def test_of_a_changed_partition_only_what_must_is_different(tmp_path: Path) -> None:
    """With centroids of a file a partition is placed alone, and cut-offs are of the pool."""
    pool = samples(sample, 400)
    np.save(tmp_path / "centroids.npy", MIDDLES[:6].astype(np.float32))
    spec = {**SPEC, "per_cluster": 30, "centroids": str(tmp_path / "centroids.npy")}
    parts = in_parts(pool, 2)
    project = project_of(tmp_path, parts, spec)
    before = built(project).members
    write_part(project, 1, parts[1][:50])
    after = built(project).members
    kept = {one.uid for one in (*parts[0], *parts[1][:50])}
    assert before & kept <= after <= kept
    assert after > before & kept


def test_cut_offs_are_the_same_for_any_parts() -> None:
    draw = np.random.default_rng(0)
    rows = pl.DataFrame(
        {
            "uid": [bytes([i % 256, i // 256]) + bytes(14) for i in range(2_000)],
            "cluster": pl.Series(draw.integers(0, 9, 2_000), dtype=pl.Int32),
            "rank": draw.integers(0, 5, 2_000).astype(float),
        }
    )
    whole, parted = Cuts(100), Cuts(100)
    whole.add(rows)
    for part in rows.sample(fraction=1, shuffle=True, seed=1).iter_slices(170):
        parted.add(part)
    assert whole.rows().equals(parted.rows())
    assert whole.n_taken == parted.n_taken == 900


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"best_by": "nobody"}, r"sets\.spread\.best_by: there is no 'nobody'"),
        ({"score_by": "nobody"}, r"sets\.spread\.score_by: there is no 'nobody'"),
        ({"centroids": "some.pt"}, r"a pickle"),
        ({"per_cluster": 0}, r"sets\.spread.*per_cluster"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        tiny_experiment(sets={"spread": {**SPEC, **wrong}})
