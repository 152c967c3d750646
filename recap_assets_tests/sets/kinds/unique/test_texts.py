"""Unique texts agree uid for uid with a plain MinHash, on many random rows."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recap_assets.sets.kinds.unique.minhash import (
    COMPARED,
    alike,
    band_keys,
    bucket_pairs,
    shingles,
)
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.sets.many_rows import (
    Sample,
    built,
    digest,
    held_to,
    project_of,
    samples,
    why_not,
    write_part,
)
from recap_assets_tests.tiny import tiny_experiment

SPEC = {
    "kind": "unique", "by": "text", "jaccard": 0.6, "ngram": 2, "bands": 6, "band_rows": 2,
    "seed": 9,
}  # fmt: skip
MASK = 2**64 - 1
BASES = [
    [f"v{number}" for number in np.random.default_rng(i).integers(0, 500, 6 + i % 5)]
    for i in range(1_500)
]


def sample(draw: np.random.Generator, i: int) -> dict[str, Any]:
    # Variations of some texts: a word more, less or another; often none.
    words = list(BASES[min(int(draw.zipf(1.2)), len(BASES)) - 1])
    for _ in range(draw.integers(0, 3)):
        at = int(draw.integers(0, len(words)))
        words[at : at + int(draw.integers(0, 2))] = [f"v{draw.integers(0, 500)}"]
    text = {0: None, 1: "...", 2: "alone", 3: f"v{draw.integers(0, 9)}"}.get(
        i % 50, " ".join(words)
    )
    return {
        "text": text.title() if text and i % 3 == 0 else text,
        "width": int(draw.integers(99, 103)),
    }


@pytest.fixture(scope="module")
def pool() -> list[Sample]:
    return samples(sample)


def words_of(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.lower()))


def shingles_of(words: tuple[str, ...], n: int = 2) -> frozenset[tuple[str, ...]]:
    if len(words) < n:
        return frozenset([words] if words else [])
    return frozenset(words[i : i + n] for i in range(len(words) - n + 1))


def mix64(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def number_of(ngram: tuple[str, ...]) -> int:
    found = len(ngram)
    for word in ngram:
        hashed = hashlib.blake2b(word.encode(), digest_size=8).digest()
        found = mix64(found ^ int.from_bytes(hashed, "little"))
    return found


def bands_of(words: tuple[str, ...]) -> list[int]:
    numbers = [number_of(one) for one in shingles_of(words)]
    found = []
    for band in range(6):
        key = 0
        for row in range(2):
            of_row = mix64(mix64(9) ^ (2 * band + row))
            key = mix64(key ^ min(mix64(number ^ of_row) for number in numbers))
        found.append(key)
    return found


def plain_groups(pool: list[Sample]) -> list[list[Sample]]:
    """Groups of samples whose words are the same, or alike by MinHash and Jaccard, chained."""
    by_words: dict[tuple[str, ...], list[Sample]] = defaultdict(list)
    for one in sorted(pool, key=lambda one: one.uid):
        if one.is_usable and one.text and words_of(one.text):
            by_words[words_of(one.text)].append(one)
    groups = {words: [words] for words in by_words}
    for one, other in compared(list(by_words)):
        first, second = shingles_of(one), shingles_of(other)
        if len(first & second) / len(first | second) >= 0.6 and groups[one] is not groups[other]:
            groups[one] += groups[other]
            groups.update(dict.fromkeys(groups[other], groups[one]))
    different = {id(group): group for group in groups.values()}.values()
    return [[one for words in group for one in by_words[words]] for group in different]


def compared(texts: list[tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Texts, in the order of their first uid, of which a band is equal."""
    signatures = {words: bands_of(words) for words in texts}
    for band in range(6):
        buckets = defaultdict(list)
        for words in texts:
            buckets[signatures[words][band]].append(words)
        for bucket in buckets.values():
            for i, first in enumerate(bucket[:COMPARED]):
                yield from ((first, other) for other in bucket[i + 1 :])


def test_one_of_each_group_stays(pool: list[Sample], tmp_path: Path) -> None:
    groups = plain_groups(pool)
    expected = {one.uid for one in pool if one.is_usable}
    for group in groups:
        kept = min(group, key=lambda one: (-one.width, one.uid))
        expected -= {one.uid for one in group} - {kept.uid}
    found = held_to(expected, pool, tmp_path, SPEC)
    assert any(len({words_of(one.text or "") for one in group}) > 3 for group in groups)
    group = next(group for group in groups if len(group) > 2)
    kept = min(group, key=lambda one: (-one.width, one.uid))
    other = next(one for one in group if one is not kept)
    assert why_not(found, other.uid) == [f"its text is that of {kept.uid.hex()}, which is kept"]


def test_with_a_similarity_of_one_the_same_words_are_one(
    pool: list[Sample], tmp_path: Path
) -> None:
    expected, seen = set(), set()
    for one in sorted(pool, key=lambda one: (-one.width, one.uid)):
        words = words_of(one.text or "")
        if one.is_usable and (not words or words not in seen):
            expected.add(one.uid)
            seen.add(words)
    held_to(expected, pool, tmp_path, {**SPEC, "jaccard": 1})


def test_pairs_are_found_as_often_as_the_formula_says() -> None:
    """1 - (1 - s^rows)^bands, for pairs of a known similarity."""
    draw = np.random.default_rng(0)
    texts = []
    for _ in range(600):
        shared, own = draw.choice(10**6, 8, replace=False), draw.choice(10**6, 4, replace=False)
        texts += [" ".join(f"x{n}" for n in (*shared, *own[side : side + 2])) for side in (0, 2)]
    numbers, counts = shingles(pl.Series(texts), 1)
    keys = band_keys(numbers, counts, 4, 3, 0)
    is_found = (keys[0::2] == keys[1::2]).any(axis=1)
    similarity = 8 / 12
    assert is_found.mean() == pytest.approx(1 - (1 - similarity**3) ** 4, abs=0.05)
    pairs = np.arange(1_200).reshape(-1, 2)
    assert len(alike(pairs, numbers, counts, 8 / 12)) == 600
    assert len(alike(pairs, numbers, counts, 8 / 12 + 1e-9)) == 0


def test_a_template_of_many_texts_is_compared_with_the_first_ones_alone() -> None:
    pairs = bucket_pairs(np.full(1_000, 7, np.uint64))
    assert len(pairs) == sum(1_000 - i - 1 for i in range(COMPARED))
    assert (pairs[:, 0] < COMPARED).all()
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(bucket_pairs(np.zeros(5, np.uint64))) == 0
    assert len(bucket_pairs(np.empty(0, np.uint64))) == 0


def test_a_partition_that_brings_a_larger_copy_replaces_the_one_that_was_kept(
    tmp_path: Path,
) -> None:
    small = Sample(digest("small")[:16], text="a brown dog on a red sofa", width=100)
    large = Sample(digest("large")[:16], text="A brown dog, on a red sofa!", width=200)
    other = Sample(digest("other")[:16], text="a boat", width=50)
    project = project_of(tmp_path, [[small], [other]], SPEC)
    assert built(project).members == {small.uid, other.uid}
    write_part(project, 1, [other, large])
    assert built(project).members == {large.uid, other.uid}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"source": "nobody"}, r"sets\.unique\.source: there is no 'nobody'"),
        ({"jaccard": 0}, r"jaccard"),
        ({"scorer": "clip"}, r"by: embedding names a `scorer`"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        tiny_experiment(sets={"unique": {**SPEC, **wrong}})
