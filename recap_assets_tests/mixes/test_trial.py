import polars as pl
import pytest

from recap_assets.mixes.cutoffs import realise
from recap_assets.mixes.selection import select
from recap_assets.mixes.trial import TRIAL_SCHEMA, Part, try_mixes
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import parse_experiment
from recap_assets_tests.mixes.pools import noisy_pool, uid_of, views_of

SETS = {"g": pl.Series([uid_of(i) for i in range(0, 300, 3)], dtype=pl.Binary)}
MIXES = {
    "raw": {"rules": [{"use": "raw"}], "scorer": "a"},
    "mixed": {
        "rules": [
            {"use": "raw", "where": {"top": 0.3}},
            {"use": "blip2", "where": {"at_least": {"top": 0.3, "of": "raw"}}},
        ],
        "scorer": "a",
    },
    "other_scorer": {"rules": [{"use": {"best_of": ["raw", "coca"]}}], "scorer": "b"},
    "part": {
        "rules": [{"use": {"each": {"raw": 1, "coca": 2}}, "where": {"in_set": "g"}}],
        "within": {"fraction": 0.5},
        "scorer": "a",
    },
    "joined": {"rules": [{"use": {"join": ["raw", "blip2"]}}], "scorer": "a"},
    "nothing": {"rules": [{"use": "raw", "where": {"at_least": 1.0}}], "scorer": "a"},
}


def experiment() -> Experiment:
    scorer = {"kind": "open_clip", "model": "ViT-L-14", "pretrained": "openai"}
    captioner = {"kind": "transformers", "model": "x"}
    return parse_experiment(
        {
            "name": "trial",
            "pool": {"kind": "embedded"},
            "sources": {"blip2": captioner, "coca": captioner},
            "scorers": {"a": scorer, "b": scorer},
            "sets": {"g": {"uids": "g.npy"}},
            "mixes": MIXES,
            "evaluation": {"tasks": {"imagenet": {"kind": "webdataset", "path": "x"}}},
        }
    )


@pytest.fixture(scope="module")
def pools():
    return {"a": noisy_pool(300, seed=1), "b": noisy_pool(300, seed=2).reverse()}


@pytest.fixture(scope="module")
def pairs(pools):
    made = {}
    for name, mix in experiment().mixes.items():
        pool = pools[mix.scorer]
        made[name] = select(mix, realise(mix, mix.scorer, views_of(pool)), pool, SETS)
    return made


def trial(pools, n_parts, *, with_text=True):
    def part(frame, i):
        kept = frame.filter(pl.col("shard") % n_parts == i)
        return kept if with_text else kept.drop("text")

    parts = (
        Part({name: part(pool, i) for name, pool in pools.items()}, SETS) for i in range(n_parts)
    )
    return try_mixes(experiment(), cutoffs(pools), parts)


def cutoffs(pools):
    mixes = experiment().mixes
    return {n: realise(mix, mix.scorer, views_of(pools[mix.scorer])) for n, mix in mixes.items()}


@pytest.mark.parametrize("n_parts", [1, 3])
def test_a_trial_counts_what_selection_makes(pools, pairs, n_parts):
    found = trial(pools, n_parts)
    assert found.schema == TRIAL_SCHEMA
    assert found["mix"].to_list() == list(MIXES)
    for row in found.iter_rows(named=True):
        made = pairs[row["mix"]]
        assert row["n_pairs"] == made.height
        assert row["n_images"] == made["uid"].n_unique()
        assert row["mean_score"] == pytest.approx(made["score"].mean(), abs=1e-6)
        shares = {s["source"]: s["share"] for s in row["source_shares"] if s["share"]}
        counts = dict(made["source"].value_counts().iter_rows())
        assert shares == {source: n / made.height for source, n in counts.items()}
        for other in row["overlap"]:
            one, two = set(made["uid"]), set(pairs[other["mix"]]["uid"])
            expected = len(one & two) / len(one | two) if one | two else 0.0
            assert other["jaccard"] == pytest.approx(expected)
        assert [other["mix"] for other in row["overlap"]] == [m for m in MIXES if m != row["mix"]]


def test_shares_are_largest_first_and_thresholds_those_realised(pools):
    row = trial(pools, 2).row(1, named=True)
    mix = experiment().mixes["mixed"]
    expected = realise(mix, "a", views_of(pools["a"])).select("path", "source", "value").to_dicts()
    assert row["thresholds"] == expected
    shares = [share["share"] for share in row["source_shares"]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)


def test_without_texts_a_score_stands_for_one(pools):
    scored = {
        name: pool.filter(pl.col("text").is_null() | pl.col("score").is_not_null())
        for name, pool in pools.items()
    }
    assert trial(scored, 2, with_text=False).equals(trial(scored, 2))
