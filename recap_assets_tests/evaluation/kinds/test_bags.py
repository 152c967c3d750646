"""Bags of similar images: who is in them, and right values within them with ties."""

from pathlib import Path

import numpy as np
import pytest

from recap_assets.evalsets.sets import EvaluationSetError, MeasuringSet, load_set
from recap_assets.evaluation.bags import bags_by, self_retrieval_in_bags
from recap_assets.evaluation.kinds.bags import BagsTask
from recap_assets_tests.evaluation.kinds.tables import Told, assert_values, coarse, cosine
from recap_assets_tests.evaluation.sets_on_disk import captioned, decode, labelled, write_set


def plain_bags(looks: np.ndarray, size: int) -> list[list[int]]:
    bags = []
    for i in range(len(looks)):
        others = [j for j in range(len(looks)) if j != i]
        others.sort(key=lambda j: (-cosine(looks[i], looks[j]), j))
        bags.append([i, *others[: size - 1]])
    return bags


def plain_values(
    told: Told, captions: list[list[str]], bags: list[list[int]]
) -> dict[str, tuple[float, int]]:
    by_text, by_image, chances = [], [], []
    for i, bag in enumerate(bags):
        others = [j for j in bag if j != i]
        for text in captions[i]:
            own = cosine(told.texts[text], told.images[i])
            by_text.append(all(cosine(told.texts[text], told.images[j]) < own for j in others))
        best = max(cosine(told.images[i], told.texts[text]) for text in captions[i])
        wrong = [text for j in others for text in captions[j]]
        by_image.append(all(cosine(told.images[i], told.texts[text]) < best for text in wrong))
        share = len(captions[i]) / (len(captions[i]) + len(wrong))
        chances.append((1 / len(bag) + share) / 2)
    n = len(bags)
    image, text = sum(by_text) / len(by_text), sum(by_image) / n
    return {
        "image_retrieval_recall@1": (image, n),
        "text_retrieval_recall@1": (text, n),
        "mean_recall@1": ((image + text) / 2, n),
        "chance": (sum(chances) / n, n),
    }


@pytest.mark.parametrize(("seed", "size"), [(0, 2), (1, 4), (2, 4), (3, 100)])
def test_the_values_are_those_of_the_definition_with_ties(
    seed: int, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recap_assets.evaluation.bags._BLOCK", 100)
    rng = np.random.default_rng(seed)
    captions = [[f"{i}_{c}" for c in range(1 + i % 3)] for i in range(25)]
    names = [text for of_image in captions for text in of_image]
    told = Told(
        dict(enumerate(coarse(rng, 25))), dict(zip(names, coarse(rng, len(names)), strict=True))
    )
    looks = coarse(rng, 25)
    similar = Told(dict(enumerate(looks)), {})
    members = [m for i, of in enumerate(captions) for m in captioned(f"{i}", "\n".join(of), i)]
    whole = load_set(str(write_set(tmp_path, "retrieval", [members])), "test", decode)
    task = BagsTask(kind="bags", of="retrieval", size=size)
    found = task.over(whole, lambda: similar)
    assert isinstance(found, MeasuringSet)
    assert bags_by(looks, size).tolist() == plain_bags(looks, size)
    measured = found.measure(told, 7)
    assert_values(measured.values, plain_values(told, captions, plain_bags(looks, size)))
    assert measured.main == "mean_recall@1"
    assert measured == found.measure(told, 1_000)


def test_an_image_is_in_its_own_bag_first_even_beside_a_copy() -> None:
    assert bags_by(np.tile(np.float32([1, 0]), (4, 1)), 2).tolist() == [
        [0, 1], [1, 0], [2, 0], [3, 0],
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_self_retrieval_in_bags_is_that_of_the_definition_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, captions = coarse(rng, 30), coarse(rng, 30)
    hits = [
        all(cosine(captions[i], images[j]) < cosine(captions[i], images[i]) for j in bag[1:])
        for i, bag in enumerate(plain_bags(images, 5))
    ]
    assert self_retrieval_in_bags(images, captions, 5) == sum(hits) / 30


def test_a_set_without_captions_or_with_one_image_is_refused(tmp_path: Path) -> None:
    task = BagsTask(kind="bags", of="x")
    told = Told({0: np.float32([1, 0])}, {"one": np.float32([1, 0])})
    classes = write_set(tmp_path / "classes", "classification", [labelled("a", "0")])
    with pytest.raises(EvaluationSetError, match="need a set of retrieval"):
        task.over(load_set(str(classes), "test", decode), lambda: told)
    lone = write_set(tmp_path / "lone", "retrieval", [captioned("a", "one")])
    found = task.over(load_set(str(lone), "test", decode), lambda: told)
    assert isinstance(found, MeasuringSet)
    with pytest.raises(EvaluationSetError, match="it has one image"):
        found.measure(told, 8)
