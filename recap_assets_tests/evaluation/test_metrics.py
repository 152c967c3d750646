import numpy as np
import pytest
import torch
from clip_benchmark.metrics import zeroshot_classification, zeroshot_retrieval
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from recap_assets.evaluation.metrics import (
    hit_fraction,
    mean_per_class_recall,
    positive_ranks,
    target_ranks,
)


def accuracy_at(scores: np.ndarray, targets: np.ndarray, k: int) -> float:
    return hit_fraction(target_ranks(scores, targets), k)


def recall_at(scores: np.ndarray, pairs: np.ndarray, k: int) -> float:
    return hit_fraction(positive_ranks(scores, pairs), k)


def test_accuracy_counts_targets_among_the_highest():
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.3, 0.2], [0.5, 0.4, 0.6]])
    targets = np.array([0, 2, 1])

    assert accuracy_at(scores, targets, 1) == pytest.approx(1 / 3)
    assert accuracy_at(scores, targets, 2) == pytest.approx(2 / 3)
    assert accuracy_at(scores, targets, 3) == 1


@pytest.mark.parametrize("value", [0.0, 0.7, -np.inf, np.nan])
def test_a_constant_model_scores_zero(value: float):
    scores = np.full((6, 4), value)
    targets = np.array([0, 1, 2, 3, 0, 1])
    pairs = np.eye(6, 4, dtype=bool)

    assert accuracy_at(scores, targets, 1) == 0
    assert accuracy_at(scores, targets, 3) == 0
    assert mean_per_class_recall(scores, targets) == 0
    assert recall_at(scores[:4], pairs[:4], 3) == 0


def test_a_tie_with_one_wrong_candidate_costs_one_rank():
    scores = np.array([[0.5, 0.5, 0.1]])

    assert accuracy_at(scores, np.array([0]), 1) == 0
    assert accuracy_at(scores, np.array([0]), 2) == 1


def test_nan_never_wins():
    scores = np.array([[np.nan, 0.1], [0.9, np.nan]])

    assert accuracy_at(scores, np.array([0, 0]), 1) == 0


def test_right_candidates_that_tie_with_each_other_cost_nothing():
    scores = np.array([[0.8, 0.8, 0.1]])
    pairs = np.array([[True, True, False]])

    assert recall_at(scores, pairs, 1) == 1


def test_one_of_several_right_candidates_is_enough():
    scores = np.array([[0.9, 0.1, 0.5], [0.9, 0.1, 0.5]])
    pairs = np.array([[True, True, False], [False, True, True]])

    assert recall_at(scores, pairs, 1) == 0.5
    assert recall_at(scores, pairs, 2) == 1


def test_a_query_without_right_candidate_misses():
    scores = np.array([[0.9, 0.1], [0.9, 0.1]])
    pairs = np.array([[True, False], [False, False]])

    assert recall_at(scores, pairs, 2) == 0.5


def test_recall_of_a_rare_class_weighs_as_much_as_that_of_a_common_one():
    scores = np.array([[1.0, 0.0]] * 10)
    targets = np.array([0] * 9 + [1])

    assert accuracy_at(scores, targets, 1) == 0.9
    assert mean_per_class_recall(scores, targets) == 0.5


def test_classes_without_a_query_do_not_count():
    scores = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])

    assert mean_per_class_recall(scores, np.array([0, 2])) == 1


@pytest.mark.parametrize("k", [0, -1])
def test_no_place_at_all_is_refused(k: int):
    with pytest.raises(ValueError, match=f"k is {k}"):
        hit_fraction(np.zeros(2, dtype=np.int64), k)


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="at least one query"):
        accuracy_at(np.zeros((0, 3)), np.zeros(0, dtype=int), 1)
    with pytest.raises(ValueError, match="at least one query"):
        recall_at(np.zeros((3, 0)), np.zeros((3, 0), dtype=bool), 1)
    with pytest.raises(ValueError, match="must be at least 1"):
        hit_fraction(np.zeros(0, dtype=np.int64), 1)


@pytest.mark.parametrize("targets", [np.array([0, 3]), np.array([-1, 0]), np.array([0])])
def test_targets_that_do_not_fit_are_refused(targets: np.ndarray):
    with pytest.raises(ValueError, match="targets"):
        target_ranks(np.zeros((2, 3)), targets)


def test_pairs_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="positive pairs"):
        positive_ranks(np.zeros((2, 3)), np.zeros((3, 2), dtype=bool))


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(5, 30))
def test_classification_agrees_with_clip_benchmark(seed: int, n: int, n_classes: int):
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((n, n_classes)).astype(np.float32)
    targets = rng.integers(n_classes, size=n)

    theirs = zeroshot_classification.accuracy(
        torch.from_numpy(scores), torch.from_numpy(targets), topk=(1, 5)
    )

    assert [accuracy_at(scores, targets, k) for k in (1, 5)] == pytest.approx(theirs, abs=1e-6)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("seed", range(5))
def test_mean_per_class_recall_agrees_with_the_function_clip_benchmark_calls(seed: int):
    rng = np.random.default_rng(seed)
    scores, targets = rng.standard_normal((60, 9)), rng.integers(7, size=60)

    expected = balanced_accuracy_score(targets, scores.argmax(axis=1))

    assert mean_per_class_recall(scores, targets) == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(10, 30), st.sampled_from([1, 5, 10]))
def test_recall_agrees_with_clip_benchmark_in_both_directions(seed: int, n_images: int, k: int):
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(n_images), rng.integers(1, 5, size=n_images))
    scores = rng.standard_normal((len(owners), n_images)).astype(np.float32)
    pairs = owners[:, None] == np.arange(n_images)

    for ours, right in ((scores, pairs), (scores.T, pairs.T)):
        theirs = zeroshot_retrieval.recall_at_k(
            torch.from_numpy(ours.copy()), torch.from_numpy(right.copy()), k
        )
        expected = (theirs > 0).float().mean().item()
        assert recall_at(ours, right, k) == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_candidates_changes_nothing_even_with_ties(seed: int):
    rng = np.random.default_rng(seed)
    scores = rng.integers(3, size=(8, 6)).astype(np.float32)
    pairs = rng.random((8, 6)) < 0.4
    order = rng.permutation(6)

    for k in (1, 2, 5):
        assert recall_at(scores, pairs, k) == recall_at(scores[:, order], pairs[:, order], k)
