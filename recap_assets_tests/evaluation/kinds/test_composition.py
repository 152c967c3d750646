"""Hard negatives: right values with ties, the published lists, and what is set aside."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from recap_assets.evalsets.sets import EvaluationSetError, MeasuringSet
from recap_assets.evaluation.kinds.composition import CompositionTask
from recap_assets_tests.evaluation.kinds.tables import Told, assert_values, coarse, cosine
from recap_assets_tests.evaluation.sets_on_disk import decode, png, write_set


def question(key: str, value: int, record: object) -> list[tuple[str, bytes]]:
    content = record if isinstance(record, bytes) else json.dumps(record).encode()
    return [(f"{key}.png", png(value)), (f"{key}.json", content)]


def opened(folder: Path, **given: str) -> MeasuringSet:
    task = CompositionTask(kind="composition", path=str(folder), **given)
    found = task.open(Path("nowhere"), decode)
    assert isinstance(found, MeasuringSet)
    return found


def plain_values(
    told: Told, questions: Sequence[tuple[int, list[str], list[str], str]]
) -> dict[str, tuple[float, int]]:
    """The metrics from their definition, question by question."""
    found: dict[str, dict[str, list[bool]]] = {"image_to_text": {}, "text_to_text": {}}
    for value, true, false, category in questions:
        image, texts = told.images[value], told.texts
        hit = all(cosine(image, texts[t]) > cosine(image, texts[f]) for t in true for f in false)
        found["image_to_text"].setdefault(category, []).append(hit)
        if len(true) == 2:
            near = cosine(texts[true[0]], texts[true[1]])
            hit = all(near > cosine(texts[t], texts[f]) for t in true for f in false)
            found["text_to_text"].setdefault(category, []).append(hit)
    values: dict[str, tuple[float, int]] = {}
    for metric, by_category in found.items():
        means = {name: sum(hits) / len(hits) for name, hits in by_category.items()}
        n = {name: len(hits) for name, hits in by_category.items()}
        values[metric] = sum(means.values()) / len(means), sum(n.values())
        values |= {f"{metric}:{name}": (mean, n[name]) for name, mean in means.items()}
    return values


@pytest.mark.parametrize("seed", range(4))
def test_the_values_are_those_of_the_definition_with_ties(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    n_texts = 12
    told = Told(
        dict(enumerate(coarse(rng, 60))),
        {f"t{i}": row for i, row in enumerate(coarse(rng, n_texts))},
    )
    questions = []
    for value in range(60):
        names = [f"t{i}" for i in rng.permutation(n_texts)]
        n_true, n_false = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        true, false = names[:n_true], names[n_true : n_true + n_false]
        questions.append((value, true, false, "ab"[value % 2]))
    members = [
        member
        for value, true, false, category in questions
        for member in question(
            f"k{value}", value, {"positives": true, "negatives": false, "category": category}
        )
    ]
    measured = opened(write_set(tmp_path, "composition", [members[:50], members[50:]]))
    found = measured.measure(told, 7)
    expected = plain_values(told, questions)
    assert found.main == "image_to_text"
    assert_values(found.values, expected)
    assert 0 < found.values["image_to_text"][0] < 1
    assert found == measured.measure(told, 1_000)


def test_guessing_gives_one_in_the_ways_to_choose_the_true_ones(tmp_path: Path) -> None:
    texts = {name: coarse(np.random.default_rng(0), 1)[0] for name in "abcd"}
    members = [
        *question("one", 0, {"positives": ["a"], "negatives": ["b"]}),
        *question("two", 1, {"positives": ["a", "b"], "negatives": ["c", "d"]}),
    ]
    measured = opened(write_set(tmp_path, "composition", [members]))
    found = measured.measure(Told(dict.fromkeys((0, 1), texts["a"]), texts), 8)
    assert found.values["chance"] == (pytest.approx((1 / 2 + 1 / 6) / 2), 2)
    # All texts are alike: no true caption beats a false one.
    assert found.values["image_to_text"] == (0.0, 2)
    assert not [name for name in found.values if ":" in name]


BAD = {
    "json": b"{",
    "list": ["a"],
    "lacks": {"positives": ["a"]},
    "empty": {"positives": [], "negatives": ["b"]},
    "blank": {"positives": [" "], "negatives": ["b"]},
    "both": {"positives": ["a"], "negatives": ["a"]},
    "many": {"positives": ["a"], "negatives": ["b"] * 300},
    "long": {"positives": ["a" * 20_000], "negatives": ["b"]},
    "category": {"positives": ["a"], "negatives": ["b"], "category": 3},
}


def test_a_bad_question_is_set_aside_and_costs_no_other(tmp_path: Path) -> None:
    good = {"positives": ["a"], "negatives": ["b"]}
    members = [
        *question("good", 1, good),
        *[m for name, record in BAD.items() for m in question(name, 2, record)],
        ("torn.png", b"no image"),
        ("torn.json", json.dumps(good).encode()),
        ("imageless.json", json.dumps(good).encode()),
    ]
    vectors = {"a": np.array([1, 0], np.float32), "b": np.array([0, 1], np.float32)}
    measured = opened(write_set(tmp_path, "composition", [members]))
    found = measured.measure(Told({1: vectors["a"], 2: vectors["b"]}, vectors), 8)
    assert found.values["image_to_text"] == (1.0, 1)
    assert found.aside == {
        "json_not_readable": 2, "captions_not_usable": 5, "caption_true_and_false": 1,
        "category_not_usable": 1, "image_not_usable": 1, "no_single_image": 1,
    }  # fmt: skip


def test_a_set_without_a_usable_question_is_refused_with_the_reason(tmp_path: Path) -> None:
    folder = write_set(tmp_path, "composition", [question("json", 1, b"{")])
    with pytest.raises(EvaluationSetError, match=r"all 1 were set aside: .*sample json"):
        opened(folder).measure(Told({}, {}), 8)


PLUS = [
    {"id": 0, "filename": "1.png", "caption": "a", "caption2": "c", "negative_caption": "b"},
    {"id": 1, "filename": "2.png", "caption": "b", "caption2": "b2", "negative_caption": "a"},
    {"id": 2, "filename": "../secret.png", "caption": "a", "negative_caption": "b"},
    {"id": 3, "filename": "gone.png", "caption": "a", "negative_caption": "b"},
]


def test_the_published_lists_are_read_with_their_names_as_categories(tmp_path: Path) -> None:
    lists, images = tmp_path / "lists", tmp_path / "images"
    lists.mkdir()
    images.mkdir()
    (tmp_path / "secret.png").write_bytes(png(1))
    for value in (1, 2):
        (images / f"{value}.png").write_bytes(png(value))
    first = {"0": {"filename": "1.png", "caption": "a", "negative_caption": "b"}, "1": "no object"}
    (lists / "add_obj.json").write_text(json.dumps(first))
    (lists / "swap_att.json").write_text(json.dumps(PLUS))
    right, left = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    told = Told({1: right, 2: right}, {"a": right, "c": right, "b": left, "b2": left})
    found = opened(lists, images=str(images)).measure(told, 8)
    assert found.values == {
        "image_to_text": (0.75, 3),
        "image_to_text:add_obj": (1.0, 1),
        "image_to_text:swap_att": (0.5, 2),
        "text_to_text": (1.0, 2),
        "text_to_text:swap_att": (1.0, 2),
        "chance": (pytest.approx((1 / 2 + 1 / 3) / 2), 3),
    }
    assert found.aside == {"image_not_usable": 2, "question_not_readable": 1}


def test_a_list_or_an_image_that_changes_changes_the_version(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "images").mkdir()
    for name in ("lists/a.json", "images/1.png"):
        (tmp_path / name).write_bytes(b"[]")
    given = {"path": str(tmp_path / "lists"), "images": str(tmp_path / "images")}
    task = CompositionTask(kind="composition", **given)  # type: ignore[arg-type]
    seen = [list(task.versions("t"))]
    for name in ("lists/a.json", "images/1.png", "images/2.png"):
        (tmp_path / name).write_bytes(b"[1, 2]")
        seen.append(list(task.versions("t")))
    assert len({tuple(lines) for lines in seen}) == 4
