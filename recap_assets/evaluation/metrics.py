"""From a matrix of scores to one number.

Shapes: `scores` is (queries, candidates), higher is better, any scale. Every result is in
[0, 1]. Ties are ranked pessimistically: a wrong candidate with the score of the right one stands
before it, so a model that gives everything the same score gets 0. NaN ties with everything and
therefore never wins. Without ties the numbers are CLIP_benchmark 1.6.2's.
"""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]
"""Shape (queries, candidates)."""

Ranks = NDArray[np.int64]
"""Shape (queries,): how many wrong candidates stand before the right one; 0 is best."""


def target_ranks(scores: Scores, targets: NDArray[np.integer]) -> Ranks:
    """How many other candidates score at least as much as each query's target.

    Args:
        scores: Shape (queries, candidates).
        targets: Shape (queries,), the column of the right candidate.

    Raises:
        ValueError: Shapes that do not fit, no query at all, or a target outside the columns.
    """
    _refuse_empty(scores)
    if targets.shape != scores.shape[:1]:
        msg = f"{len(scores)} rows of scores need as many targets, but there are {targets.shape}"
        raise ValueError(msg)
    if targets.min() < 0 or targets.max() >= scores.shape[1]:
        msg = f"targets are outside the {scores.shape[1]} columns of the scores"
        raise ValueError(msg)
    own = np.take_along_axis(scores, targets[:, None], axis=1)
    # The target is never below itself, so it is counted once and taken off again.
    return np.count_nonzero(~(scores < own), axis=1).astype(np.int64) - 1


def taken_classes(scores: Scores, targets: NDArray[np.integer]) -> NDArray[np.int64]:
    """The class that each query is taken for: its target only where nothing ties with that.

    So a prediction is right exactly where `target_ranks` gives 0.

    Args:
        scores: Shape (queries, classes).
        targets: Shape (queries,), the class of each query.

    Returns:
        Shape (queries,): where a wrong class stands before the target, the best wrong one, the
        first of equals.

    Raises:
        ValueError: As `target_ranks`.
    """
    is_wrong = target_ranks(scores, targets) > 0
    others = np.where(np.isnan(scores), np.inf, scores)
    np.put_along_axis(others, targets[:, None], -np.inf, axis=1)
    return np.where(is_wrong, others.argmax(axis=1), targets).astype(np.int64)


def jaccard_of_best(scores: Scores, is_right: NDArray[np.bool_]) -> float:
    """Jaccard index of the right candidates and of as many that score best (WinoGAViL).

    Args:
        scores: Shape (candidates,); a wrong one goes before a right one of the same score.
        is_right: Same shape, true at least once.

    Raises:
        ValueError: No candidate is right.
    """
    n_right = int(is_right.sum())
    if not n_right:
        msg = f"none of the {len(is_right)} candidates is right"
        raise ValueError(msg)
    ranked = np.where(np.isnan(scores), np.where(is_right, -np.inf, np.inf), scores)
    best = np.lexsort((is_right, -ranked))[:n_right]
    n_both = int(is_right[best].sum())
    return n_both / (2 * n_right - n_both)


def positive_ranks(scores: Scores, positive_pairs: NDArray[np.bool_]) -> Ranks:
    """How many wrong candidates score at least as much as each query's best right one.

    Args:
        scores: Shape (queries, candidates).
        positive_pairs: Same shape; true where the candidate is right. A query may have several
            right candidates; one with none gets the rank `candidates`, a miss at every k.

    Raises:
        ValueError: Shapes that differ, or no query at all.
    """
    _refuse_empty(scores)
    if positive_pairs.shape != scores.shape:
        msg = f"positive pairs have shape {positive_pairs.shape}, scores {scores.shape}"
        raise ValueError(msg)
    best = np.max(scores, axis=1, where=positive_pairs, initial=-np.inf, keepdims=True)
    return np.count_nonzero(~(scores < best) & ~positive_pairs, axis=1).astype(np.int64)


def hit_fraction(ranks: Ranks, k: int) -> float:
    """Share of the queries whose right candidate is among the first `k`.

    By `target_ranks` it is the accuracy of a classification. By `positive_ranks` it is recall as
    CLIP papers use it: 1 or 0 for a query, however many right candidates it has.

    Raises:
        ValueError: No query, or k below 1.
    """
    if k < 1 or not len(ranks):
        msg = f"k is {k} and there are {len(ranks)} queries: both must be at least 1"
        raise ValueError(msg)
    return float(np.mean(ranks < k))


def mean_per_class_recall(scores: Scores, targets: NDArray[np.integer]) -> float:
    """Mean over the classes that occur in `targets` of the share of their queries that are right.

    Args:
        scores: Shape (queries, classes).
        targets: Shape (queries,), the class of each query.

    Raises:
        ValueError: As `target_ranks`.
    """
    return mean_per_class_hits(target_ranks(scores, targets), targets)


def mean_per_class_hits(ranks: Ranks, targets: NDArray[np.integer]) -> float:
    """`mean_per_class_recall` from ranks: shape (queries,) each, the classes of the queries."""
    _, classes = np.unique(targets, return_inverse=True)
    right = np.bincount(classes, weights=ranks == 0)
    return float(np.mean(right / np.bincount(classes)))


def _refuse_empty(scores: Scores) -> None:
    if scores.ndim != 2 or 0 in scores.shape:
        msg = f"scores have shape {scores.shape}: at least one query and one candidate are needed"
        raise ValueError(msg)
