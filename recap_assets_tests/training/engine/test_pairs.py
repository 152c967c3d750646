import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.training.engine.pairs import PairOrder, TrainingPairs


def pairs_of(image_index: list[int], weights: list[float] | None = None) -> TrainingPairs:
    n_images = max(image_index, default=-1) + 1
    return TrainingPairs(
        np.zeros((n_images, 4, 4, 3), np.uint8),
        np.array(image_index, np.int32),
        [f"text {n}" for n in range(len(image_index))],
        np.array([1.0] * len(image_index) if weights is None else weights, np.float32),
    )


@settings(max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 5), st.integers(1, 30))
def test_each_epoch_passes_every_image_once_whatever_the_batch(index, seed, batch):
    index = np.unique(index, return_inverse=True)[1].tolist()
    pairs = pairs_of(index)
    n_images = max(index) + 1
    whole = PairOrder(pairs, seed).pairs_at(0, 3 * n_images)
    for epoch in whole.reshape(3, n_images):
        assert sorted(pairs.image_index[epoch]) == list(range(n_images))
    order = PairOrder(pairs, seed)
    in_batches = [
        order.pairs_at(i, min(batch, len(whole) - i)) for i in range(0, len(whole), batch)
    ]
    assert np.array_equal(np.concatenate(in_batches), whole)


def test_texts_are_drawn_by_weight():
    drawn = PairOrder(pairs_of([0, 0, 0], [1.0, 3.0, 0.0]), seed=0).pairs_at(0, 8_000)
    counts = np.bincount(drawn, minlength=3) / 8_000
    assert counts[2] == 0
    assert counts[1] == pytest.approx(0.75, abs=0.02)


def test_an_image_without_positive_weight_is_never_drawn():
    drawn = PairOrder(pairs_of([0, 1, 2], [0.0, 1.0, 0.0]), seed=3).pairs_at(0, 50)
    assert set(drawn) == {1}


@settings(max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=9), st.integers(0, 5))
def test_each_epoch_passes_every_image_as_often_as_it_has_copies(copies, seed):
    index = [i for i in range(len(copies)) for _ in range(2)]
    plain = pairs_of(index)
    pairs = dataclasses.replace(plain, copies=np.array(copies, np.int32))
    order = PairOrder(pairs, seed)
    assert order.images_per_epoch == sum(copies)
    for epoch in order.pairs_at(0, 2 * sum(copies)).reshape(2, -1):
        assert np.bincount(pairs.image_index[epoch]).tolist() == copies
    once = dataclasses.replace(plain, copies=np.ones(len(copies), np.int32))
    n = 3 * len(copies)
    assert np.array_equal(
        PairOrder(once, seed).pairs_at(0, n), PairOrder(plain, seed).pairs_at(0, n)
    )
    assert pairs.content_hash() != plain.content_hash()


def test_seeds_and_epochs_differ_in_order():
    pairs = pairs_of(list(range(50)))
    first = PairOrder(pairs, 0).pairs_at(0, 100)
    assert not np.array_equal(first[:50], first[50:])
    assert not np.array_equal(first[:50], PairOrder(pairs, 1).pairs_at(0, 50))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: pairs_of([]), "no pairs to train on"),
        (lambda: pairs_of([0, 1], [1.0, float("nan")]), "finite"),
        (lambda: pairs_of([0, 1], [1.0, -1.0]), "not negative"),
        (lambda: pairs_of([0, 1], [0.0, 0.0]), "positive weight"),
        (lambda: pairs_of([0, 1], [1.0]), "weights"),
        (
            lambda: TrainingPairs(
                np.zeros((1, 4, 4, 3), np.uint8), np.array([1], np.int32), ["a"], np.ones(1, "f4")
            ),
            "outside",
        ),
        (
            lambda: TrainingPairs(
                np.zeros((1, 4, 4)), np.array([0], np.int32), ["a"], np.ones(1, "f4")
            ),
            "uint8",
        ),
    ],
)
def test_unusable_pairs_are_refused_in_words(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_content_hash_sees_images_texts_and_weights():
    base = pairs_of([0, 1])
    other = pairs_of([0, 1], [1.0, 2.0])
    assert base.content_hash() == pairs_of([0, 1]).content_hash() != other.content_hash()
