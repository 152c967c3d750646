"""Draws by entries agree uid for uid with MetaCLIP's formulas written plainly, on random rows."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recap_assets.artefacts import ENTRY_PROBABILITIES
from recap_assets.artefacts.draws import uid_hashes
from recap_assets.sets.kinds.entries import EntriesSet
from recap_assets.sets.kinds.entries.drawing import limit_of, tail_share
from recap_assets.sets.kinds.entries.lists import Entries, EntriesError, load_lists
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

WORDS = [f"word{i}" for i in range(60)]
ENTRIES = [
    *WORDS[::2], "word1 word2", "word2 word1", "word3 , word5", "Word7", "ord9", "word0", "!",
    "word11 word13 word17", "never there", "c++", "word19.",
]  # fmt: skip
MASK = 2**64 - 1


def sample(draw: np.random.Generator, i: int) -> dict[str, Any]:
    words = [WORDS[min(int(draw.zipf(1.4)), 60) - 1] for _ in range(draw.integers(0, 7))]
    joints = draw.choice([" ", " ", " ", ", ", ".", "\n", "-", "!", "  "], len(words))
    text = "".join(word + joint for word, joint in zip(words, joints, strict=True))
    language = ["en", "de", "zh", "fr", None][min(int(draw.zipf(2)), 5) - 1]
    return {"text": text.strip() or None if i % 41 else None, "language": language}


@pytest.fixture(scope="module")
def pool() -> list[Sample]:
    return samples(sample)


def spaced(text: str) -> str:
    found = f" {text} "
    for mark in ",.;:?!`":
        found = found.replace(mark, f" {mark} ")
    for blank in "\t\n\r":
        found = found.replace(blank, " ")
    return found


def held(text: str, entries: Sequence[str]) -> list[str]:
    """MetaCLIP's substr_matching: an entry between spaces is in the spaced text."""
    within = spaced(text)
    return [entry for entry in entries if f" {entry} " in within]


def mix64(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


@cache
def number_of(entry: str) -> int:
    return int.from_bytes(hashlib.blake2b(entry.encode(), digest_size=8).digest(), "little")


def drawn(of_uid: int, entry: str) -> float:
    """A number in [0, 1), of a uid's own and an entry."""
    return (mix64(of_uid ^ number_of(entry)) >> 11) * 2.0**-53


def members(
    matched: Mapping[bytes, Sequence[str]], t: int, seed: int, counts: Mapping[str, int]
) -> set[bytes]:
    numbers = uid_hashes(seed, "entries", pl.Series(list(matched), dtype=pl.Binary)).tolist()
    found = set()
    for (uid, entries), number in zip(matched.items(), numbers, strict=True):
        if any(drawn(number, entry) < min(1.0, t / counts[entry]) for entry in entries):
            found.add(uid)
    return found


def test_a_draw_is_that_of_the_formula(pool: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps([*ENTRIES, ENTRIES[0]]))
    spec = {"kind": "entries", "entries": f"{tmp_path}/metadata.json", "t": 300, "seed": 5}
    usable = {one.uid: one.text for one in pool if one.is_usable and one.text}
    matched = {uid: held(text, sorted(set(ENTRIES))) for uid, text in usable.items()}
    counts = Counter(entry for entries in matched.values() for entry in entries)
    assert max(counts.values()) > 900
    assert min(counts.values()) < 300
    expected = members(matched, 300, 5, counts)
    found = held_to(expected, pool, tmp_path, spec)
    n_without = sum(not entries for entries in matched.values())
    assert found.reasons["no_entry"] == n_without
    assert found.reasons["not_drawn"] == len(usable) - n_without - len(expected)
    # About t texts are drawn for the most frequent entry itself.
    entry = max(counts, key=lambda one: counts[one])
    n_drawn = len(
        members({uid: [entry] for uid in matched if entry in matched[uid]}, 300, 5, counts)
    )
    assert abs(n_drawn - 300) < 60
    rows = found.project.workspace.tables.read(ENTRY_PROBABILITIES, set=NAME)
    told = {entry: (n, p) for entry, n, p in rows.select("entry", "n", "probability").iter_rows()}
    assert told == {entry: (n, 300 / n) for entry, n in counts.items() if n > 300}
    uid = next(uid for uid, entries in matched.items() if entries and uid not in expected)
    rarest = min(matched[uid], key=lambda entry: (counts[entry], entry))
    (why,) = why_not(found, uid)
    assert f"such as {rarest!r} (in {counts[rarest]:,} texts)" in why


def test_by_language_each_list_has_a_t_of_its_own(pool: list[Sample], tmp_path: Path) -> None:
    lists = {"en": list(dict.fromkeys(ENTRIES)), "de": WORDS[::3], "other": WORDS[1::4]}
    (tmp_path / "lists").mkdir()
    for language, entries in lists.items():
        (tmp_path / "lists" / f"{language}.txt").write_text("\n".join(entries) + "\n\n")
    spec = {
        "kind": "entries", "entries": f"{tmp_path}/lists", "by_language": True, "t": 120, "seed": 1,
    }  # fmt: skip
    matched: dict[str, dict[bytes, list[str]]] = defaultdict(dict)
    for one in pool:
        if one.is_usable and one.text:
            language = one.language if one.language in lists else "other"
            asked = [entry for entry in lists[language] if entry not in ("!", "word19.", "c++")]
            matched[language][one.uid] = held(one.text, asked)
    # Meta CLIP 2: no space is asked for beside punctuation.
    for uid, text in ((one.uid, one.text) for one in pool):
        if uid in matched["en"]:
            within = spaced(text or "")
            extra = {"!": "!", "c++": " c++", "word19.": " word19."}
            matched["en"][uid] += [entry for entry, part in extra.items() if part in within]
    counts = {
        language: Counter(entry for entries in by_uid.values() for entry in entries)
        for language, by_uid in matched.items()
    }
    ordered = {
        language: np.array([found[entry] for entry in lists[language]])
        for language, found in counts.items()
    }
    share = ordered["en"][ordered["en"] < 120].sum() / ordered["en"].sum()
    expected = set()
    for language, by_uid in matched.items():
        sizes = np.sort(ordered[language])
        nearest = np.abs(np.cumsum(sizes) / sizes.sum() - share).argmin()
        t = 120 if language == "en" else int(sizes[nearest])
        expected |= members(by_uid, t, 1, counts[language])
    found = held_to(expected, pool, tmp_path, spec)
    assert "no_list" not in found.reasons


def test_a_language_without_a_list_has_no_member(pool: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "en.txt").write_text("\n".join(WORDS))
    spec = {"kind": "entries", "entries": f"{tmp_path}/lists", "by_language": True}
    found = built(project_of(tmp_path, in_parts(pool[:300], 2), spec))
    by_uid = {one.uid: one for one in pool[:300]}
    assert {by_uid[uid].language for uid in found.members} == {"en"}
    german = next(one for one in pool[:300] if one.language == "de" and one.text and one.is_usable)
    assert why_not(found, german.uid)[0] == "there is no list of entries for its language de"


def test_an_unchanged_share_of_common_entries_changes_no_member(tmp_path: Path) -> None:
    """Counts of a changed partition are new; below t they draw nothing anew."""
    (tmp_path / "list.txt").write_text("word0\n")
    spec = {"kind": "entries", "entries": f"{tmp_path}/list.txt", "t": 100}
    ones = [Sample(digest(f"{i}")[:16], text="a word0 here") for i in range(90)]
    project = project_of(tmp_path, [ones[:45], ones[45:]], spec)
    assert built(project).members == {one.uid for one in ones}
    write_part(project, 1, ones[45:50])
    result = built(project)
    assert result.members == {one.uid for one in ones[:50]}
    assert result.project.workspace.tables.read(ENTRY_PROBABILITIES, set=NAME).is_empty()


def test_entries_within_entries_are_all_found() -> None:
    entries = Entries(pl.Series(["new york", "york", "new york city", "a"]), by_script=False)
    texts = pl.DataFrame({"uid": [b"1", b"2"], "text": ["in new york city, a york", "yorker"]})
    found = entries.held_by(texts)
    assert sorted(found.rows()) == [(b"1", e) for e in ("a", "new york", "new york city", "york")]


def test_scripts_without_spaces_need_none() -> None:
    entries = pl.Series(["北京", "京都"])
    texts = pl.DataFrame({"uid": [b"1"], "text": ["我在北京都市"]})
    assert Entries(entries, by_script=False).held_by(texts).is_empty()
    assert sorted(Entries(entries, by_script=True).held_by(texts)["entry"]) == ["京都", "北京"]


def test_t_and_the_share_of_the_tail_are_meta_clips() -> None:
    counts = np.array([0, 10, 30, 60, 100])
    assert tail_share(counts, 60) == pytest.approx(40 / 200)
    assert limit_of(counts, 0.2) == 30
    assert limit_of(counts, 0.45) == 60
    assert limit_of(counts, 0.0) == 1
    assert limit_of(np.zeros(3, np.int64), 0.3) == 1


def test_the_embedded_worlds_nouns_are_a_list_that_needs_no_file() -> None:
    (found,) = load_lists("embedded", by_language=False).values()
    texts = pl.DataFrame({"uid": [b"1", b"2"], "text": ["a red castle, at night", "IMG_2231"]})
    assert sorted(found.held_by(texts)["entry"]) == ["castle", "night"]
    spec = EntriesSet.model_validate({"kind": "entries", "entries": "embedded"})
    assert not spec.contents()
    assert spec.decides()["entries"] == "embedded"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("list.json", b'{"a": 1}', "its JSON is dict, not a list"),
        ("list.json", b'["a", 3]', "an entry is a text, not 3"),
        ("list.json", b'["a", ""]', "an entry is a text"),
        ("list.json", b'["a"', "it is no JSON"),
        ("list.txt", b"\xff\xfe\x00", "it is no text"),
        ("none.txt", None, "No such file"),
    ],
)
def test_a_list_that_cannot_be_used_is_named(
    name: str, content: bytes | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EntriesError, match=words):
        load_lists(str(path), by_language=False)
    spec = EntriesSet.model_validate({"kind": "entries", "entries": str(path)})
    ((good, told),) = spec.doctor("sets.curated", None)  # type: ignore[arg-type]
    assert not good
    assert told.startswith(f"sets.curated.entries: {path}:")


def test_a_folder_without_the_list_whose_t_is_given_is_found_by_doctor(tmp_path: Path) -> None:
    (tmp_path / "de.txt").write_text("Hund\n")
    spec = EntriesSet.model_validate(
        {"kind": "entries", "entries": str(tmp_path), "by_language": True}
    )
    ((good, told),) = spec.doctor("sets.curated", None)  # type: ignore[arg-type]
    assert not good
    assert "there is no list for 'en'; there are de" in told
    (tmp_path / "de.json").write_text("[]")
    with pytest.raises(EntriesError, match="de has two lists"):
        load_lists(str(tmp_path), by_language=True)
    with pytest.raises(EntriesError, match=r"no \.json or \.txt file"):
        load_lists(str(tmp_path / "none"), by_language=True)
