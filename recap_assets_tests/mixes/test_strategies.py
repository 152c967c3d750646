"""Every strategy of arXiv 2307.10350 as a user writes it, against plain sets."""

import polars as pl
import pytest
import yaml

from recap_assets.mixes.cutoffs import realise
from recap_assets.mixes.selection import select
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import parse_experiment
from recap_assets_tests.mixes.pools import Truth, noisy_pool, views_of

MIXES = """
raw:
  - use: raw
raw_top30:
  - {use: raw, where: {top: 0.3}}
raw_top30_in1k:
  - {use: raw, where: {all: [{top: 0.3}, {in_set: in1k}]}}
blip2:
  - use: blip2
blip2_top10:
  - {use: blip2, where: {top: 0.1}}
blip2_top50:
  - {use: blip2, where: {top: 0.5}}
blip2_top75_in1k:
  - {use: blip2, where: {all: [{top: 0.75}, {in_set: in1k}]}}
raw_top30_and_blip2:
  - {use: raw, where: {top: 0.3}}
  - use: blip2
raw_top30_and_blip2_filtered:
  - {use: raw, where: {top: 0.3}}
  - {use: blip2, where: {at_least: {top: 0.3, of: raw}}}
blip2_top50_and_raw_filtered:
  - {use: blip2, where: {top: 0.5}}
  - {use: raw, where: {at_least: {top: 0.5, of: blip2}}}
raw_top30_in1k_and_blip2_filtered_in1k:
  - {use: raw, where: {all: [{top: 0.3}, {in_set: in1k}]}}
  - {use: blip2, where: {all: [{at_least: {top: 0.3, of: raw}}, {in_set: in1k}]}}
best_of_two:
  - use: {best_of: [raw, blip2]}
concatenation:
  - use: {join: [raw, blip2]}
random_choice:
  - use: {random_of: {raw: 1, blip2: 1}}
same_images_other_text:
  - {use: blip2, where: {top: 0.3, of: raw}}
outside_in1k:
  - {use: raw, where: {without: {in_set: in1k}}}
either:
  - {use: raw, where: {any: [{at_least: 0.22}, {in_set: in1k}]}}
largest_100:
  - {use: blip2, where: {best: 100}}
"""


def experiment():
    return parse_experiment(
        {
            "name": "paper",
            "pool": {"kind": "embedded"},
            "sources": {
                "blip2": {"kind": "transformers", "model": "Salesforce/blip2-opt-2.7b"},
                "coca": {"kind": "open_clip", "model": "coca_ViT-L-14", "pretrained": "x"},
            },
            "scorers": {"l14": {"kind": "open_clip", "model": "ViT-L-14", "pretrained": "openai"}},
            "sets": {"in1k": {"uids": "in1k.npy"}},
            "mixes": yaml.safe_load(MIXES),
            "evaluation": {"tasks": {"imagenet": {"kind": "webdataset", "path": "imagenet"}}},
        }
    )


@pytest.fixture(scope="module")
def pool():
    return noisy_pool()


@pytest.fixture(scope="module")
def truth(pool):
    return Truth(pool)


@pytest.fixture(scope="module")
def in1k(truth):
    return {uid for uid in truth.pool if uid[0] < 100}


@pytest.fixture(scope="module")
def sets_expected(truth, in1k):
    """For each mix, source -> uids, written from the definitions of section 3."""
    r, b = truth.with_text("raw"), truth.with_text("blip2")
    r30, b50 = truth.top("raw", 0.3), truth.top("blip2", 0.5)
    b_by_raw = truth.at_least("blip2", truth.cutoff("raw", 0.3))
    r_by_blip2 = truth.at_least("raw", truth.cutoff("blip2", 0.5))
    return {
        "raw": {"raw": r},
        "raw_top30": {"raw": r30},
        "raw_top30_in1k": {"raw": r30 & in1k},
        "blip2": {"blip2": b},
        "blip2_top10": {"blip2": truth.top("blip2", 0.1)},
        "blip2_top50": {"blip2": b50},
        "blip2_top75_in1k": {"blip2": truth.top("blip2", 0.75) & in1k},
        "raw_top30_and_blip2": {"raw": r30, "blip2": b - r30},
        "raw_top30_and_blip2_filtered": {"raw": r30, "blip2": b_by_raw - r30},
        "blip2_top50_and_raw_filtered": {"blip2": b50, "raw": r_by_blip2 - b50},
        "raw_top30_in1k_and_blip2_filtered_in1k": {
            "raw": r30 & in1k,
            "blip2": (b_by_raw & in1k) - (r30 & in1k),
        },
        "concatenation": {"raw+blip2": r & b},
        "same_images_other_text": {"blip2": r30 & b},
        "outside_in1k": {"raw": r - in1k},
        "either": {"raw": truth.at_least("raw", 0.22) | (r & in1k)},
        "largest_100": {"blip2": truth.at_least("blip2", hundredth(truth))},
    }


def hundredth(truth):
    return sorted((truth.score("blip2", uid) for uid in truth.scored("blip2")), reverse=True)[99]


def pairs_of(name, pool, in1k):
    mix = experiment().mixes[name]
    thresholds = realise(mix, "l14", views_of(pool))
    return select(mix, thresholds, pool, {"in1k": pl.Series(sorted(in1k), dtype=pl.Binary)})


CHOICES = ("best_of_two", "random_choice")


def test_the_file_parses_and_no_strategy_is_left_out(sets_expected):
    assert isinstance(experiment(), Experiment)
    assert set(experiment().mixes) == {*sets_expected, *CHOICES}


@pytest.mark.parametrize("name", [n for n in yaml.safe_load(MIXES) if n not in CHOICES])
def test_strategies_select_uid_for_uid(name, pool, truth, in1k, sets_expected):
    pairs = pairs_of(name, pool, in1k)
    found = {s: set(pairs.filter(pl.col("source") == s)["uid"]) for s in pairs["source"].unique()}
    assert found == sets_expected[name]
    assert pairs.height == sum(map(len, found.values()))
    for row in pairs.filter(~pl.col("source").str.contains("+", literal=True)).iter_rows(
        named=True
    ):
        caption = truth.best[row["source"]][row["uid"]]
        assert (row["text"], row["score"], row["candidate"]) == caption
        assert row["shard"] == truth.shard[row["uid"]]


def test_best_of_two(pool, truth, in1k):
    expected = {}
    for uid in truth.with_text("raw") | truth.with_text("blip2"):
        captions = [(s, truth.best[s][uid]) for s in ("raw", "blip2") if uid in truth.best[s]]
        scores = [float("-inf") if c[1] is None else c[1] for _, c in captions]
        expected[uid] = captions[scores.index(max(scores))][0]
    pairs = pairs_of("best_of_two", pool, in1k)
    assert dict(pairs.select("uid", "source").iter_rows()) == expected


def test_random_choice(pool, truth, in1k):
    pairs = pairs_of("random_choice", pool, in1k)
    taken = dict(pairs.select("uid", "source").iter_rows())
    r, b = truth.with_text("raw"), truth.with_text("blip2")
    assert set(taken) == r | b
    assert all(taken[uid] == "raw" for uid in r - b)
    assert all(taken[uid] == "blip2" for uid in b - r)
    n_raw = sum(taken[uid] == "raw" for uid in r & b)
    assert abs(n_raw / len(r & b) - 0.5) < 0.1


def test_concatenation_joins_texts_and_averages_scores(pool, truth, in1k):
    for row in pairs_of("concatenation", pool, in1k).iter_rows(named=True):
        (raw, s, candidate), (blip2, t, _) = (truth.best[x][row["uid"]] for x in ("raw", "blip2"))
        assert row["text"] == f"{raw} {blip2}"
        assert row["candidate"] == candidate
        assert row["score"] == (None if None in (s, t) else pytest.approx((s + t) / 2, abs=1e-7))
