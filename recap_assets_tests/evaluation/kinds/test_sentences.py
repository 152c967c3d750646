"""Similarity of sentences: Spearman with ties, the layouts, and what is set aside."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from recap_assets.evalsets.sets import EvaluationSetError, MeasuringSet
from recap_assets.evaluation.kinds.sentences import SentencesTask
from recap_assets.evaluation.kinds.sentences.sets import correlation, mean_ranks
from recap_assets_tests.evaluation.kinds.tables import Told, coarse
from recap_assets_tests.evaluation.sets_on_disk import decode

PAIRS = [("a", "b", 0.0), ("a", "c", 2.5), ("b", "c", 2.5), ("a", "d", 5.0)]
ROWS = [{"sentence1": one, "sentence2": two, "score": score} for one, two, score in PAIRS]
TABS = [f"{one}\t{two}\t{score}" for one, two, score in PAIRS]
STSB = [f"captions\tMSR\t2012\t{i:04d}\t{s}\t{a}\t{b}" for i, (a, b, s) in enumerate(PAIRS)]
TEXTS = dict(zip("abcd", coarse(np.random.default_rng(1), 4), strict=True))


def opened(path: Path, **given: str) -> MeasuringSet:
    found = SentencesTask(kind="sentences", path=str(path), **given).open(Path("no"), decode)
    assert isinstance(found, MeasuringSet)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_spearman_is_scipys_with_ties_in_both(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 9, 200).astype(float), rng.integers(0, 4, 200).astype(float)
    assert mean_ranks(one).tolist() == stats.rankdata(one).tolist()
    spearman = correlation(mean_ranks(one), mean_ranks(other))
    assert spearman == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-12)
    assert correlation(one, other) == pytest.approx(stats.pearsonr(one, other).statistic, abs=1e-12)


def test_a_tower_that_says_the_same_of_every_pair_has_nothing() -> None:
    assert correlation(np.ones(4), np.arange(4.0)) == 0.0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.jsonl", "\n".join(map(json.dumps, ROWS)).encode()),
        ("sts.jsonl.gz", gzip.compress("\n".join(map(json.dumps, ROWS)).encode(), mtime=0)),
        ("sts.tsv", "\n".join(["sentence1\tsentence2\tscore", *TABS]).encode()),
        ("sts-test.csv", "\r\n".join([*STSB, ""]).encode()),
    ],
)
def test_every_layout_gives_the_same_pairs(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    found = opened(path)
    assert list(found.expected()) == PAIRS
    near = [float(TEXTS[a].astype(float) @ TEXTS[b]) for a, b, _ in PAIRS]
    expected = stats.spearmanr(np.float32(near), [score for _, _, score in PAIRS]).statistic
    measured = found.measure(Told({}, TEXTS), 3)
    assert measured.values["spearman"] == (pytest.approx(expected), 4)
    assert measured == found.measure(Told({}, TEXTS), 100)
    assert list(found.images(4)) == []


def test_a_folder_is_read_as_its_pairs(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(json.dumps(ROWS[0]))
    assert list(opened(tmp_path).expected()) == PAIRS[:1]
    task = SentencesTask(kind="sentences", path=str(tmp_path))
    before = list(task.versions("t"))
    (tmp_path / "pairs.jsonl").write_text(json.dumps(ROWS[1]) + "\n")
    assert list(task.versions("t")) != before


def test_names_of_fields_are_the_users(tmp_path: Path) -> None:
    path = tmp_path / "sick.tsv"
    path.write_text("id\tsentence_A\tsentence_B\trelatedness\n1\ta\tb\t4.5\n")
    found = opened(path, first="sentence_A", second="sentence_B", score="relatedness")
    assert list(found.expected()) == [("a", "b", 4.5)]


@pytest.mark.parametrize("ending", ["jsonl", "tsv"])
def test_a_bad_pair_is_set_aside_and_costs_no_other(ending: str, tmp_path: Path) -> None:
    if ending == "jsonl":
        no_score, no_text = {**ROWS[0], "score": "high"}, {**ROWS[0], "sentence2": ""}
        bad = ["{", "[1]", json.dumps(no_score), json.dumps(no_text), '{"score": NaN}']
        lines = [*map(json.dumps, ROWS), *bad]
    else:
        bad = ["a", "a\tb", "a\tb\thigh", "\tb\t1", "a\tb\tinf"]
        lines = ["sentence1\tsentence2\tscore", *TABS, *bad]
    path = tmp_path / f"sts.{ending}"
    path.write_text("\n".join(lines))
    measured = opened(path).measure(Told({}, TEXTS), 8)
    assert measured.values["spearman"][1] == 4
    assert sum(measured.aside.values()) == 5


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "names no columns sentence1, sentence2, score"),
        ("a\tb\n", "names no columns"),
        ("sentence1\tsentence2\tscore\n", "it has no pair that can be used"),
        ("sentence1\tsentence2\tscore\na\tb\t1\nb\tc\t1\n", "all have the score 1.0"),
    ],
)
def test_a_file_that_says_nothing_is_refused(content: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "sts.tsv"
    path.write_text(content)
    with pytest.raises(EvaluationSetError, match=told):
        opened(path).measure(Told({}, TEXTS), 8)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationSetError, match=r"gone\.tsv: there is no such file"):
        opened(tmp_path / "gone.tsv")
