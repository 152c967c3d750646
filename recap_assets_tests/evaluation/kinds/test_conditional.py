"""Composed retrieval: right values with ties, GeneCIS' lists, and what is set aside."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from recap_assets.evalsets.sets import EvaluationSetError, MeasuringSet
from recap_assets.evaluation.kinds.conditional import ConditionalTask
from recap_assets.evaluation.kinds.conditional.reading import cut_out
from recap_assets_tests.evaluation.kinds.tables import Told, assert_values, coarse, cosine
from recap_assets_tests.evaluation.sets_on_disk import decode, png, write_set

Query = Mapping[str, object]


def written(folder: Path, values: Sequence[int], queries: Sequence[object]) -> Path:
    write_set(folder, "x", [[(f"k{value}.png", png(value)) for value in values]])
    lines = [one if isinstance(one, str) else json.dumps(one) for one in queries]
    (folder / "queries.jsonl").write_text("\n".join(lines))
    return folder


def opened(folder: Path, **given: object) -> MeasuringSet:
    task = ConditionalTask(kind="conditional", path=str(folder), **given)  # type: ignore[arg-type]
    found = task.open(Path("nowhere"), decode)
    assert isinstance(found, MeasuringSet)
    return found


def plain_rank(told: Told, n: int, query: dict[str, object], how: str) -> int:
    """How many wrong candidates stand before the best target."""

    def at(key: object) -> int:
        return int(str(key)[1:])

    reference = told.images[at(query["reference"])].astype(float)
    condition = told.texts[str(query["condition"])].astype(float)
    total = {"sum": reference + condition, "image": reference, "text": condition}[how]
    norm = np.linalg.norm(total)
    asked = (total / (norm if norm else 1)).astype(np.float32)
    given = query["target"]
    targets = {at(key) for key in (given if isinstance(given, list) else [given])}
    gallery = query.get("gallery")
    wrong = (
        {at(key) for key in gallery} - targets if isinstance(gallery, list)
        else set(range(n)) - targets - {at(query["reference"])}
    )  # fmt: skip
    best = max(cosine(asked, told.images[i]) for i in targets)
    return sum(cosine(asked, told.images[i]) >= best for i in wrong)


@pytest.mark.parametrize("combine", ["sum", "image", "text"])
@pytest.mark.parametrize("seed", range(3))
def test_the_values_are_those_of_the_definition_with_ties(
    seed: int, combine: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    n = 20
    told = Told(
        dict(enumerate(coarse(rng, n))), {f"c{i}": row for i, row in enumerate(coarse(rng, 6))}
    )
    queries: list[dict[str, object]] = []
    for number in range(40):
        keys = [f"k{i}" for i in rng.permutation(n)]
        query: dict[str, object] = {"reference": keys[0], "condition": f"c{number % 6}"}
        query["target"] = keys[1:3] if number % 3 == 0 else keys[1]
        if number % 2:
            query["gallery"] = keys[1:8]
        query["category"] = "even" if number % 2 else "odd"
        queries.append(query)
    found = opened(written(tmp_path, range(n), queries), combine=combine, k=(2, 5))
    measured = found.measure(told, 7)
    expected: dict[str, tuple[float, int]] = {}
    for k in (1, 2, 5):
        by = {
            name: [
                plain_rank(told, n, one, combine) < k for one in queries if one["category"] == name
            ]
            for name in ("even", "odd")
        }
        expected |= {f"recall@{k}:{name}": (sum(of) / 20, 20) for name, of in by.items()}
        expected[f"recall@{k}"] = (sum(map(sum, by.values())) / 40, 40)
    for how in ("image", "text"):
        hits = sum(plain_rank(told, n, one, how) < 1 for one in queries)
        expected[f"{how}_alone_recall@1"] = (hits / 40, 40)
    assert_values(measured.values, expected)
    assert measured.main == "recall@1"
    assert measured == found.measure(told, 1_000)


def test_guessing_finds_a_target_as_often_as_they_are_among_the_candidates(tmp_path: Path) -> None:
    queries = [
        {"reference": "k0", "condition": "c", "target": "k1", "gallery": ["k1", "k2", "k3"]},
        {"reference": "k0", "condition": "c", "target": ["k1", "k2"]},
    ]
    vector = np.float32([1, 0])
    told = Told(dict.fromkeys(range(5), vector), {"c": vector})
    found = opened(written(tmp_path, range(5), queries)).measure(told, 8)
    assert found.values["chance"] == (pytest.approx((1 / 3 + 2 / 4) / 2), 2)
    assert found.values["recall@1"] == (0.0, 2)


def test_opposite_halves_cancel_out_and_find_nothing(tmp_path: Path) -> None:
    queries = [{"reference": "k0", "condition": "c", "target": "k1"}]
    right = np.float32([1, 0])
    told = Told({0: right, 1: right, 2: -right}, {"c": -right})
    found = opened(written(tmp_path, range(3), queries)).measure(told, 8)
    assert found.values["recall@1"] == (0.0, 1)
    assert found.values["image_alone_recall@1"] == (1.0, 1)


def test_a_bad_query_or_image_is_set_aside_and_costs_no_other(tmp_path: Path) -> None:
    good = {"reference": "k0", "condition": "c", "target": "k1"}
    bad = [
        "{", "[1]", {**good, "reference": 3}, {**good, "target": []}, {**good, "condition": " "},
        {**good, "gallery": ["k9"]}, {**good, "gallery": []}, {**good, "target": "../k1"},
    ]  # fmt: skip
    folder = written(tmp_path, [0, 1, 2], [*bad, good, ""])
    write_set(folder, "x", [[(f"k{v}.png", png(v)) for v in range(3)] + [("k9.png", b"torn")]])
    vector = np.float32([1, 0])
    told = Told({0: vector, 1: vector, 2: -vector}, {"c": vector})
    found = opened(folder).measure(told, 8)
    assert found.values["recall@1"] == (1.0, 1)
    assert found.aside == {
        "query_not_readable": 2, "query_not_usable": 3, "condition_not_usable": 1,
        "image_of_query_missing": 2, "image_not_usable": 1,
    }  # fmt: skip


def test_queries_are_missing_or_none_can_be_used(tmp_path: Path) -> None:
    write_set(tmp_path, "x", [[("k0.png", png(0))]])
    with pytest.raises(EvaluationSetError, match=r"queries\.jsonl is missing"):
        opened(tmp_path)
    (tmp_path / "queries.jsonl").write_text("{}")
    with pytest.raises(EvaluationSetError, match="no query that can be used, since all 1"):
        opened(tmp_path).measure(Told({0: np.float32([1, 0])}, {}), 8)


COCO = {
    "reference": {"val_image_id": 1}, "target": {"val_image_id": 2}, "condition": "c",
    "gallery": [{"val_image_id": 3}],
}  # fmt: skip
GENOME = {
    "reference": {"image_id": 7, "instance_bbox": [0, 0, 2, 4]},
    "target": {"image_id": 7, "instance_bbox": [2, 0, 2, 4]},
    "gallery": [{"image_id": 7, "instance_bbox": [900, 0, 2, 2]}], "condition": "c",
}  # fmt: skip


def test_the_published_lists_are_read_with_images_of_coco(tmp_path: Path) -> None:
    lists, images = tmp_path / "lists", tmp_path / "images"
    lists.mkdir()
    images.mkdir()
    for value in (1, 2, 3):
        (images / f"{value:012d}.jpg").write_bytes(png(value))
    (lists / "focus_object.json").write_text(json.dumps([COCO]))
    (lists / "focus_attribute.json").write_text(json.dumps([GENOME]))
    right, left = np.float32([1, 0]), np.float32([0, 1])
    found = opened(lists, images=str(images)).measure(
        Told({1: right, 2: right, 3: left}, {"c": right}), 8
    )
    assert_values(found.values, {"recall@1": (1.0, 1), "recall@1:focus_object": (1.0, 1)})
    # Of Visual Genome there is no image: three boxes, and the query with them.
    assert found.aside == {"image_not_usable": 3, "image_of_query_missing": 1}


def test_a_box_is_cut_out_with_its_surroundings_and_made_square() -> None:
    image = np.arange(20 * 30 * 3, dtype=np.uint64).reshape(20, 30, 3).astype(np.uint8)
    # Left 10 - 0.7 * 10 = 3, top 4 - 2.8 = 1.2; 17 wide, 6.8 high.
    part = cut_out(image, (10, 4, 10, 4))
    assert part.shape == (17, 17, 3)
    assert np.array_equal(part[5:12], image[1:8, 3:20])
    assert not part[:5].any()
    assert not part[12:].any()
    with pytest.raises(EvaluationSetError, match="nothing of an image"):
        cut_out(image, (100, 4, 10, 4))
