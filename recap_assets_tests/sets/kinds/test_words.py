"""Sets by words agree uid for uid with a plain search, on many random rows."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.sets.many_rows import (
    Sample,
    built,
    digest,
    held_to,
    project_of,
    samples,
    why_not,
)
from recap_assets_tests.tiny import tiny_experiment

WORDS = ("man", "Woman", "person", "traffic  light", "mannequin", "Straße", "c++", "a.b", "x", "y")
JOINTS = (" ", " ", ", ", "-", "", "\n", "_")
SPEC: dict[str, Any] = {
    "kind": "words", "any": ["man", "traffic light", "c++"], "all": ["x"],
    "none": ["person", "a.b"],
}  # fmt: skip


def sample(draw: np.random.Generator, i: int) -> dict[str, Any]:
    n = int(draw.integers(0, 8))
    parts = zip(draw.choice(WORDS, n), draw.choice(JOINTS, n), strict=True)
    text = "".join(f"{word}{joint}" for word, joint in parts).strip()
    columns = {
        "license": [None, "cc-by", "CC-BY", "cc0", "1", "true"][int(draw.integers(0, 6))],
        "stars": [None, "3", "3.5", "4", "-1e2", "many"][int(draw.integers(0, 6))],
    }
    return {
        "text": None if i % 29 == 0 or not text else text, "columns": columns,
        "width": int(draw.integers(197, 203)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def pool() -> list[Sample]:
    return samples(sample)


@pytest.fixture(scope="module")
def some(pool: list[Sample]) -> list[Sample]:
    return pool[:1_500]


def has(text: str, word: str, *, case: bool = False, match: str = "words") -> bool:
    """Whether a word is in a text, tried at each letter."""
    text = re.sub(r"\s+", " ", text)
    text, word = (text, word) if case else (text.lower(), word.lower())
    for start in range(len(text) - len(word) + 1):
        if text.startswith(word, start):
            ends = (text[start - 1 : start] if start else "", text[start + len(word) :][:1])
            if match == "letters" or not any(re.match(r"\w", end) for end in ends):
                return True
    return False


@pytest.mark.parametrize(
    "how", [{}, {"case": True}, {"match": "letters"}, {"match": "letters", "case": True}]
)
def test_any_all_and_none(pool: list[Sample], how: dict[str, Any], tmp_path: Path) -> None:
    expected = {
        one.uid
        for one in pool
        if one.is_usable
        and one.text is not None
        and any(has(one.text, word, **how) for word in SPEC["any"])
        and all(has(one.text, word, **how) for word in SPEC["all"])
        and not any(has(one.text, word, **how) for word in SPEC["none"])
    }
    held_to(expected, pool, tmp_path, {**SPEC, **how})


def number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return float("nan")


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ({"license": "cc-by"}, lambda one: one.columns["license"] == "cc-by"),
        ({"license": ["cc0", 1]}, lambda one: one.columns["license"] in ("cc0", "1")),
        ({"license": True}, lambda one: one.columns["license"] == "true"),
        (
            {"license": {"none_of": ["cc0"]}},
            lambda one: one.columns["license"] not in (None, "cc0"),
        ),
        ({"stars": {"at_least": 3.5}}, lambda one: number(one.columns["stars"]) >= 3.5),
        ({"stars": [4.0, -100]}, lambda one: number(one.columns["stars"]) in (4, -100)),
        (
            {"width": {"at_least": 200, "at_most": 201}, "stars": 3},
            lambda one: 200 <= one.width <= 201 and one.columns["stars"] == "3",
        ),
    ],
)
def test_columns_of_the_pool(
    some: list[Sample], asked: dict[str, Any], holds: Any, tmp_path: Path
) -> None:
    expected = {one.uid for one in some if one.is_usable and holds(one)}
    held_to(expected, some, tmp_path, {"kind": "words", "columns": asked})


def test_words_and_columns_are_both_asked_for(pool: list[Sample], tmp_path: Path) -> None:
    spec = {"kind": "words", "any": ["man"], "columns": {"license": ["cc-by", "cc0"]}}
    expected = {
        one.uid
        for one in pool
        if one.is_usable
        and one.text
        and has(one.text, "man")
        and (one.columns or {})["license"] in ("cc-by", "cc0")
    }
    found = held_to(expected, pool, tmp_path, spec)
    assert set(found.reasons) == {"no_text", "no_such_word", "other_license"}
    uid = next(
        one.uid for one in pool
        if one.is_usable and has(one.text or "", "man") and (one.columns or {})["license"] == "1"
    )  # fmt: skip
    assert why_not(found, uid) == ["its license is '1'; one of 'cc-by', 'cc0' is asked for"]


def test_patterns_are_regular_expressions(pool: list[Sample], tmp_path: Path) -> None:
    spec = {"kind": "words", "match": "patterns", "any": ["^man", "(wo|hu)man$"], "none": ["x.*x"]}
    expected = {
        one.uid
        for one in pool
        if one.is_usable
        and re.search("(?i)^man|(wo|hu)man$", one.text or "")
        and not re.search("(?i)x.*x", one.text or "")
    }
    held_to(expected, pool, tmp_path, spec)


def test_what_is_amiss_is_said_with_the_words(tmp_path: Path) -> None:
    texts = {"dog": "a dog", "both": "man and person", "fine": "a man, x"}
    given = [Sample(digest(name)[:16], text=text) for name, text in texts.items()]
    found = built(project_of(tmp_path, [given], SPEC))
    uids = {name: digest(name)[:16] for name in texts}
    assert why_not(found, uids["fine"]) == []
    assert why_not(found, uids["both"]) == ["it has not 'x'", "it has 'person'"]
    assert why_not(found, uids["dog"]) == [
        "it has not 'man', 'traffic light', 'c++'", "it has not 'x'"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"any": [], "all": [], "none": []}, "name words as `any`, `all` or `none`, or `columns`"),
        ({"columns": {"nothing": 1}}, r"sets\.some\.columns\.nothing: there is no 'nothing'"),
        ({"columns": {"width": {}}}, "name `at_least`, `at_most`"),
        ({"any": [" "]}, "any: ' ' has no letter"),
        ({"any": ["(man"], "match": "patterns"}, "any: no regular expression"),
        ({"any": ["x"] * 1_001}, "any"),
        ({"source": "nobody"}, r"sets\.some\.source: there is no 'nobody'"),
    ],
)
def test_what_cannot_be_asked_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        tiny_experiment(sets={"some": {**SPEC, **wrong}})
