"""Image-to-image neighbours: right values with ties, and one embedding of a set for two tasks."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from recap_assets.evalsets.embedding import Remembering
from recap_assets.evalsets.sets import EvaluationSetError, MeasuringSet, load_set
from recap_assets.evaluation.kinds.neighbours import NeighboursTask
from recap_assets.evaluation.kinds.neighbours.sets import neighbours
from recap_assets.evaluation.zero_shot import evaluate
from recap_assets_tests.evaluation.kinds.tables import Told, assert_values, coarse, cosine
from recap_assets_tests.evaluation.sets_on_disk import captioned, decode, labelled, write_set


def plain_values(
    vectors: np.ndarray, labels: np.ndarray, ks: tuple[int, ...]
) -> tuple[dict[int, float], float]:
    """From the definition, query by query; wrong images stand before right ones of their score."""
    hits: dict[int, list[bool]] = {k: [] for k in ks}
    precisions = []
    for query in range(len(vectors)):
        others = [i for i in range(len(vectors)) if i != query]
        if not any(labels[i] == labels[query] for i in others):
            continue
        others.sort(key=lambda i: (-cosine(vectors[query], vectors[i]), labels[i] == labels[query]))
        right = [labels[i] == labels[query] for i in others]
        for k in ks:
            hits[k].append(any(right[:k]))
        at = [place for place, is_right in enumerate(right, 1) if is_right]
        precisions.append(sum(n / place for n, place in enumerate(at, 1)) / len(at))
    return {k: sum(of) / len(of) for k, of in hits.items()}, sum(precisions) / len(precisions)


@pytest.mark.parametrize("seed", range(5))
def test_the_values_are_those_of_the_definition_with_ties(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recap_assets.evaluation.kinds.neighbours.sets._BLOCK", 200)
    rng = np.random.default_rng(seed)
    vectors, labels = coarse(rng, 60), rng.integers(0, 25, 60)
    recalls, precision = neighbours(vectors, labels, (1, 3, 10))
    expected, mean = plain_values(vectors, labels, (1, 3, 10))
    assert recalls == pytest.approx(expected, abs=1e-12)
    assert precision == pytest.approx(mean, abs=1e-12)


def test_without_ties_it_is_scikit_learns_average_precision() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((40, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    labels = np.arange(40) % 4
    scores = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    expected = [
        average_precision_score(
            np.delete(labels == labels[query], query), np.delete(scores[query], query)
        )
        for query in range(40)
    ]
    assert neighbours(vectors, labels, (1,))[1] == pytest.approx(np.mean(expected))


def test_a_model_that_gives_all_images_one_embedding_finds_nothing() -> None:
    vectors = np.tile(np.float32([1, 0]), (6, 1))
    recalls, precision = neighbours(vectors, np.array([0, 0, 1, 1, 2, 2]), (1, 4, 5))
    assert recalls == {1: 0.0, 4: 0.0, 5: 1.0}
    assert precision == pytest.approx(1 / 5)


def test_an_image_alone_in_its_class_is_ranked_but_asks_nothing(tmp_path: Path) -> None:
    labels = [0, 0, 1, 1, 2]
    members = [m for i, label in enumerate(labels) for m in labelled(f"{i}", f"{label}", i)]
    whole = load_set(
        str(write_set(tmp_path, "classification", [members], "a\nb\nc\n")), "test", decode
    )
    found = NeighboursTask(kind="neighbours", of="x", k=(2, 40)).over(whole, lambda: None)  # type: ignore[arg-type, return-value]
    assert isinstance(found, MeasuringSet)
    up, right = np.float32([0, 1]), np.float32([1, 0])
    near = np.float32([0.8, 0.6])
    told = Told({0: up, 1: near, 2: right, 3: right, 4: up}, {})
    measured = found.measure(told, 2)
    # The image 4, alone, stands before 1 for the query 0; for 1, all others stand before 0.
    precisions = [1 / 2, 1 / 4, 1, 1]
    assert_values(
        measured.values,
        {"recall@1": (0.5, 4), "recall@2": (0.75, 4), "map": (sum(precisions) / 4, 4),
         "chance": (1 / 4, 4)},
    )  # fmt: skip
    assert measured.aside == {"alone_in_its_class": 1}
    assert measured.main == "map"
    assert "recall@40" not in measured.values


def test_a_set_without_classes_or_with_one_image_each_is_refused(tmp_path: Path) -> None:
    task = NeighboursTask(kind="neighbours", of="x")
    pairs = write_set(tmp_path / "pairs", "retrieval", [captioned("a", "one")])
    with pytest.raises(EvaluationSetError, match="need a set of classification"):
        task.over(load_set(str(pairs), "test", decode), lambda: None)  # type: ignore[arg-type, return-value]
    members = [*labelled("a", "0"), *labelled("b", "1", 9)]
    lone = write_set(tmp_path / "lone", "classification", [members])
    found = task.over(load_set(str(lone), "test", decode), lambda: None)  # type: ignore[arg-type, return-value]
    assert isinstance(found, MeasuringSet)
    told = Told({0: np.float32([1, 0]), 9: np.float32([0, 1])}, {})
    with pytest.raises(EvaluationSetError, match="no two of its 2 images have one class"):
        found.measure(told, 2)


def test_two_tasks_on_one_set_embed_its_images_once(tmp_path: Path) -> None:
    members = [m for i in range(6) for m in labelled(f"{i}", f"{i % 2}", i)]
    folder = str(write_set(tmp_path, "classification", [members]))
    rng = np.random.default_rng(0)
    words = ["a photo of a.", "a", "a photo of b.", "b"]
    told = Told(dict(enumerate(coarse(rng, 6))), dict(zip(words, coarse(rng, 4), strict=True)))
    once = Remembering(told)
    whole = load_set(folder, "test", decode)
    plain = evaluate(Told(told.images, told.texts), whole, batch_size=4)
    assert evaluate(once, whole, batch_size=4) == plain
    n_embedded = told.n_embedded
    task = NeighboursTask(kind="neighbours", of="x")
    evaluate(once, task.over(whole, lambda: told), batch_size=3)
    assert n_embedded == told.n_embedded == 6 + 4
