"""Sets by frequency agree uid for uid with ALIGN's rules written plainly, on many random rows."""

import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recap_assets.artefacts import TEXT_FREQUENCIES
from recap_assets.sets.kinds.frequency import counting
from recap_assets_tests.sets.many_rows import (
    NAME,
    Sample,
    built,
    digest,
    held_to,
    in_parts,
    project_of,
    samples,
    why_not,
    write_part,
)

VOCABULARY = [f"w{i}" for i in range(400)]
SPEC = {
    "kind": "frequency", "images_per_text": 4, "texts_per_image": 6, "frequent_ngrams": 900,
    "min_words": 3, "max_words": 7,
}  # fmt: skip


def sample(draw: np.random.Generator, i: int) -> dict[str, Any]:
    # Words by Zipf's law; some texts are common, and so are some images.
    words = [VOCABULARY[min(int(draw.zipf(1.3)), 400) - 1] for _ in range(draw.integers(0, 9))]
    text = " ".join(words).upper() if i % 11 == 0 else " ".join(words)
    text = f"common text number {i % 400}" if i % 9 == 0 else text
    image = f"common {draw.integers(0, 60)}" if i % 8 == 0 else f"{draw.integers(0, 8_000)}"
    sha256 = None if i % 71 == 0 else digest(image)
    return {"text": None if i % 31 == 0 or not text else text, "sha256": sha256}


@pytest.fixture(scope="module")
def pool() -> list[Sample]:
    return samples(sample)


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def ngrams_of(text: str) -> list[tuple[str, ...]]:
    words = words_of(text)
    return [(one,) for one in words] + list(pairwise(words))


def plain(pool: list[Sample]) -> tuple[dict[bytes, str], Counter[tuple[str, ...]]]:
    """The first reason of each sample that is no member, "" for a member, and all n-grams."""
    usable = [one for one in pool if one.is_usable]
    with_text = [one for one in usable if one.text is not None]
    images, texts = defaultdict(set), defaultdict(set)
    ngrams: Counter[tuple[str, ...]] = Counter()
    for one in with_text:
        image = one.sha256 or one.uid
        images[one.text].add(image)
        texts[image].add(one.text)
        ngrams.update(ngrams_of(one.text or ""))
    counts = sorted(ngrams.values(), reverse=True)
    least = counts[SPEC["frequent_ngrams"] - 1]  # type: ignore[operator]
    found = {}
    for one in usable:
        if one.text is None:
            found[one.uid] = "no_text"
            continue
        n = len(words_of(one.text))
        checks = {
            "too_few_words": n >= 3,
            "too_many_words": n <= 7,
            "common_text": len(images[one.text]) <= 4,
            "common_image": len(texts[one.sha256 or one.uid]) <= 6,
            "rare_words": all(ngrams[ngram] >= least for ngram in ngrams_of(one.text)),
        }
        found[one.uid] = next((reason for reason, holds in checks.items() if not holds), "")
    return found, ngrams


def test_alongside_aligns_rules(pool: list[Sample], tmp_path: Path) -> None:
    reasons, ngrams = plain(pool)
    found = held_to({uid for uid, why in reasons.items() if not why}, pool, tmp_path, SPEC)
    assert found.reasons == Counter(why for why in reasons.values() if why)
    assert min(found.reasons.values()) > 10
    ties = sorted(ngrams.values(), reverse=True)
    assert ties[899] == ties[900], "the cut is among ties"
    by_uid = {one.uid: one for one in pool}
    uid = next(uid for uid, why in reasons.items() if why == "common_text")
    assert "its text is that of" in why_not(found, uid)[0]
    uid = next(uid for uid, why in reasons.items() if why == "common_image")
    assert "different texts; at most 6 are asked for" in why_not(found, uid)[0]
    uid = next(uid for uid, why in reasons.items() if why == "rare_words")
    (why,) = why_not(found, uid)
    rare = why.split("'")[1]
    assert rare in " ".join(words_of(by_uid[uid].text or ""))
    assert ngrams[tuple(rare.split())] < ties[899]


def test_counts_in_ranges_are_those_of_the_whole(
    pool: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = []
    for rows in (1 << 23, 1_000):
        monkeypatch.setattr(counting, "ROWS_AT_ONCE", rows)
        found = built(project_of(tmp_path / str(rows), in_parts(pool[:3_000], 3), SPEC))
        tables.append(found.project.workspace.tables.read(TEXT_FREQUENCIES, set=NAME))
    assert tables[0].equals(tables[1])
    assert set(tables[0]["what"]) == {"text", "image", "ngram", "cut"}


def test_without_limits_only_the_length_counts(pool: list[Sample], tmp_path: Path) -> None:
    some = pool[:600]
    spec = {
        "kind": "frequency", "images_per_text": None, "texts_per_image": None,
        "frequent_ngrams": None, "min_words": 3, "max_words": None,
    }  # fmt: skip
    found = built(project_of(tmp_path, in_parts(some, 2), spec))
    texts = {one.uid: one.text for one in some if one.is_usable}
    assert found.members == {uid for uid, text in texts.items() if text and len(words_of(text)) > 2}


def test_more_known_ngrams_than_there_are_make_none_rare(
    pool: list[Sample], tmp_path: Path
) -> None:
    spec = {**SPEC, "frequent_ngrams": 10**9}
    found = built(project_of(tmp_path, in_parts(pool[:600], 2), spec))
    assert "rare_words" not in found.reasons
    rows = found.project.workspace.tables.read(TEXT_FREQUENCIES, set=NAME)
    assert rows.filter(what="ngram").is_empty()


def test_another_partitions_texts_change_what_is_common(tmp_path: Path) -> None:
    """The counts of one partition are rebuilt, and members of another follow."""
    common = [
        Sample(digest(f"uid {i}")[:16], text="a text of many images", sha256=digest(f"{i}"))
        for i in range(12)
    ]
    spec = {**SPEC, "frequent_ngrams": None}
    project = project_of(tmp_path, [common[:6], common[6:]], spec)
    assert not built(project).members
    write_part(project, 1, [Sample(digest("other")[:16], text="four words of another")])
    write_part(project, 0, common[:4])
    assert built(project).members == {digest("other")[:16], *(one.uid for one in common[:4])}
