import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.artefacts.histograms import score_histogram
from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.uids import is_within, uid_uniform
from recap_assets.mixes.cutoffs import cutoffs_needed, realise
from recap_assets.mixes.score_view import ScoreView
from recap_assets.mixes.selection import PAIR_SCHEMA, select
from recap_assets.mixes.thresholds import EmptyPopulationError
from recap_assets.specs.mixes import Mix, RandomSubset
from recap_assets_tests.mixes.pools import SCHEMA, Truth, noisy_pool, uid_of, views_of

POOL = noisy_pool(200)

MIXES = [
    [
        {"use": "raw", "where": {"top": 0.3}},
        {"use": "coca", "where": {"at_least": {"top": 0.3, "of": "raw"}}},
    ],
    [{"use": {"best_of": ["blip2", "raw", "coca"]}}],
    [{"use": {"random_of": {"raw": 1, "blip2": 2, "coca": 0.5}, "seed": 4}}],
    [{"use": {"join": ["coca", "raw"], "separator": ". "}, "where": {"top": 0.8, "of": "coca"}}],
    {
        "rules": [
            {"use": {"each": {"raw": 1, "coca": 3}}, "where": {"in_set": "g"}, "weight": 2},
            {
                "use": "blip2",
                "where": {"any": [{"best": 20}, {"without": {"top": 0.9, "of": "raw"}}]},
            },
        ],
        "combine": "all",
        "within": {"fraction": 0.6, "seed": 9},
    },
]
SETS = {"g": pl.Series([uid_of(i) for i in range(0, 200, 3)], dtype=pl.Binary)}


def mix_of(rules):
    return Mix.model_validate(rules)


def captions(*rows):
    """Candidates from (image, source, text, score)."""
    full = [(uid_of(i), 0, source, 0, text, score) for i, source, text, score in rows]
    return pl.DataFrame(full, schema=SCHEMA, orient="row")


def chosen(rules, candidates, sets=None):
    mix = mix_of(rules)
    pairs = select(mix, realise(mix, "s", views_of(candidates)), candidates, sets or {})
    return set(pairs.select("uid", "text").iter_rows())


@pytest.mark.parametrize("rules", MIXES)
@given(seed=st.integers(0, 2**31), n_parts=st.integers(1, 6))
@settings(max_examples=12)
def test_neither_order_nor_partitions_change_a_mix(rules, seed, n_parts):
    mix = mix_of(rules)
    thresholds = realise(mix, "s", views_of(POOL))
    expected = select(mix, thresholds, POOL, SETS)
    images = POOL["uid"].unique().sort().shuffle(seed)
    parts = [
        POOL.filter(pl.col("uid").is_in(images.gather_every(n_parts, i).implode())).sample(
            fraction=1.0, shuffle=True, seed=seed
        )
        for i in range(n_parts)
    ]
    assert realise(mix, "s", views_of(*parts)).equals(thresholds)
    pairs = pl.concat([select(mix, thresholds, part, SETS) for part in parts])
    assert pairs.sort(CURATED_MIXES.order).equals(expected)
    assert expected.height > 0


@pytest.mark.parametrize("rules", MIXES)
def test_pairs_are_sorted_unique_and_of_the_tables_schema(rules):
    mix = mix_of(rules)
    pairs = select(mix, realise(mix, "s", views_of(POOL)), POOL, SETS)
    assert pairs.schema == PAIR_SCHEMA
    assert pairs.equals(pairs.sort(CURATED_MIXES.order))
    assert pairs.select(CURATED_MIXES.order).is_unique().all()
    assert pairs["text"].null_count() == 0


def test_key_order_of_a_draw_means_nothing():
    one, other = ({"raw": 1, "blip2": 3}, {"blip2": 3, "raw": 1})
    assert chosen([{"use": {"random_of": one}}], POOL) == chosen(
        [{"use": {"random_of": other}}], POOL
    )


def test_draws_follow_the_weights_and_the_seed():
    pool = noisy_pool(2_000, missing=0.0)

    def sources(seed):
        mix = mix_of([{"use": {"random_of": {"raw": 1, "blip2": 3}, "seed": seed}}])
        return select(mix, realise(mix, "s", views_of(pool)), pool, {}).sort("uid")["source"]

    first, second = sources(0), sources(1)
    assert abs((first == "blip2").mean() - 0.75) < 0.03
    assert abs((first == second).mean() - (0.75**2 + 0.25**2)) < 0.04


def test_a_draw_within_a_random_part_is_no_echo_of_it():
    # With one stream of numbers, the lower half would always draw the first source.
    pool = noisy_pool(2_000, missing=0.0)
    mix = mix_of(
        {"rules": [{"use": {"random_of": {"raw": 1, "blip2": 1}}}], "within": {"fraction": 0.5}}
    )
    pairs = select(mix, realise(mix, "s", views_of(pool)), pool, {})
    assert abs((pairs["source"] == "raw").mean() - 0.5) < 0.05


def test_only_the_random_part_is_ranked_and_selected():
    mix = mix_of({"rules": [{"use": "raw", "where": {"top": 0.3}}], "within": {"fraction": 0.4}})
    truth = Truth(POOL)
    part = {u for u in truth.pool if uid_uniform(0, pl.Series([u]), "subset")[0] < 0.4}
    thresholds = realise(mix, "s", views_of(POOL))
    value = truth.cutoff("raw", 0.3, among=part)
    assert thresholds["value"].to_list() == [value]
    assert thresholds["population"].to_list() == [len(part & truth.scored("raw"))]
    assert value != truth.cutoff("raw", 0.3)
    pairs = select(mix, thresholds, POOL, {})
    assert set(pairs["uid"]) == part & truth.at_least("raw", value)


def test_thresholds_say_where_they_stand_and_what_they_keep():
    mix = mix_of(
        [
            {
                "use": "raw",
                "where": {"all": [{"top": 0.3}, {"without": {"best": 5, "of": "coca"}}]},
            },
            {"use": "blip2", "where": {"at_least": {"top": 0.5, "of": "raw"}, "of": "coca"}},
            {"use": "blip2", "where": {"any": [{"at_least": 0.2}, {"at_least": {"best": 7}}]}},
        ]
    )
    found = realise(mix, "l14", views_of(POOL))
    assert found.schema == {n: t for n, t in THRESHOLDS.schema.items() if n != "mix"}
    assert found.select("path", "kind", "requested", "source").rows() == [
        ("rules.0.where.all.0.top", "quantile", 0.3, "raw"),
        ("rules.0.where.all.1.without.best", "size", 5.0, "coca"),
        ("rules.1.where.at_least.top", "quantile", 0.5, "raw"),
        ("rules.2.where.any.0.at_least", "absolute", 0.2, "blip2"),
        ("rules.2.where.any.1.at_least.best", "size", 7.0, "blip2"),
    ]
    truth = Truth(POOL)
    for row in found.iter_rows(named=True):
        scores = [truth.score(row["source"], uid) for uid in truth.scored(row["source"])]
        value = np.float32(row["value"])
        assert row["population"] == len(scores)
        assert row["n_at_or_above"] == sum(score >= value for score in scores)
        assert row["n_tied"] == sum(score == value for score in scores)
        assert row["scorer"] == "l14"


def test_a_cutoff_can_be_tested_on_a_third_source():
    rules = [{"use": "blip2", "where": {"at_least": {"top": 0.5, "of": "raw"}, "of": "coca"}}]
    truth = Truth(POOL)
    accepted = truth.at_least("coca", truth.cutoff("raw", 0.5)) & truth.with_text("blip2")
    assert {uid for uid, _ in chosen(rules, POOL)} == accepted


def test_an_absolute_cutoff_is_compared_as_float32():
    # 0.3 in float64 is below float32's 0.3, and the score below lies between the two.
    score = float(np.float32(0.3))
    assert score > 0.3
    just_below = float(np.nextafter(np.float32(0.3), np.float32(0)))
    pool = captions((0, "raw", "at", score), (1, "raw", "below", just_below))
    assert chosen([{"use": "raw", "where": {"at_least": 0.3}}], pool) == {(uid_of(0), "at")}


def test_ties_of_best_of_go_to_the_first_named():
    pool = captions((0, "raw", "r", 0.25), (0, "blip2", "b", 0.25))
    assert chosen([{"use": {"best_of": ["blip2", "raw"]}}], pool) == {(uid_of(0), "b")}
    assert chosen([{"use": {"best_of": ["raw", "blip2"]}}], pool) == {(uid_of(0), "r")}


def test_unscored_captions_rank_last_but_are_captions():
    pool = captions(
        (0, "raw", "r", None),
        (0, "blip2", "b", -0.5),
        (1, "raw", "r", None),
        (1, "blip2", None, None),
    )
    expected = {(uid_of(0), "b"), (uid_of(1), "r")}
    assert chosen([{"use": {"best_of": ["raw", "blip2"]}}], pool) == expected


def test_the_best_candidate_stands_for_its_source():
    rows = [
        (uid_of(0), 0, "raw", 2, "late tie", 0.3),
        (uid_of(0), 0, "raw", 1, "best", 0.3),
        (uid_of(0), 0, "raw", 0, "first", 0.1),
        (uid_of(1), 0, "raw", 0, None, None),
        (uid_of(1), 0, "raw", 1, "unscored", None),
    ]
    pool = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    assert chosen([{"use": "raw"}], pool) == {(uid_of(0), "best"), (uid_of(1), "unscored")}
    mix = mix_of([{"use": "raw", "where": {"best": 1}}])
    thresholds = realise(mix, "s", views_of(pool))
    assert thresholds.select("population", "n_at_or_above").rows() == [(1, 1)]


@pytest.mark.parametrize(
    ("where", "accepted"),
    [
        ({"at_least": 0.2}, {0}),
        ({"without": {"at_least": 0.2}}, {1}),
        ({"without": {"without": {"at_least": 0.2}}}, {0}),
        ({"without": {"all": [{"at_least": 0.2}, {"in_set": "all"}]}}, {1}),
        ({"without": {"all": [{"at_least": 0.2}, {"in_set": "none"}]}}, {0, 1, 2}),
        ({"any": [{"at_least": 0.2}, {"in_set": "all"}]}, {0, 1, 2}),
        ({"any": [{"at_least": 0.2}, {"without": {"at_least": 0.2}}]}, {0, 1}),
        ({"in_set": "none"}, set()),
    ],
)
def test_an_unscored_caption_passes_no_test_of_its_score(where, accepted):
    pool = captions((0, "raw", "high", 0.3), (1, "raw", "low", 0.1), (2, "raw", "unscored", None))
    sets = {
        "all": pl.Series([uid_of(i) for i in range(3)]),
        "none": pl.Series([], dtype=pl.Binary),
    }
    expected = {uid_of(i) for i in accepted}
    assert {uid for uid, _ in chosen([{"use": "raw", "where": where}], pool, sets)} == expected


def test_an_image_without_the_text_goes_on_to_the_next_rule():
    pool = captions((0, "raw", None, None), (0, "blip2", "b", 0.2), (1, "raw", "r", 0.2))
    rules = [{"use": "raw"}, {"use": "blip2"}]
    assert chosen(rules, pool) == {(uid_of(0), "b"), (uid_of(1), "r")}


def test_each_gives_a_weighted_pair_a_source_and_all_a_pair_a_rule():
    pool = captions((0, "raw", "r", 0.1), (0, "blip2", "b", 0.2), (1, "blip2", "c", 0.3))
    rules = [
        {"use": {"each": {"raw": 1, "blip2": 3}}, "weight": 2},
        {"use": "blip2", "where": {"at_least": 0.25}, "weight": 0.5},
    ]
    mix = mix_of({"rules": rules, "combine": "all"})
    pairs = select(mix, realise(mix, "s", views_of(pool)), pool, {})
    assert set(pairs.select("text", "weight", "rule").iter_rows()) == {
        ("r", 2.0, 0),
        ("b", 6.0, 0),
        ("c", 6.0, 0),
        ("c", 0.5, 1),
    }
    first = mix_of({"rules": rules})
    assert select(first, realise(first, "s", views_of(pool)), pool, {})["rule"].to_list() == [0] * 3


def test_fraction_one_keeps_every_scored_sample():
    assert {u for u, _ in chosen([{"use": "raw", "where": {"top": 1.0}}], POOL)} == (
        Truth(POOL).scored("raw")
    )


def test_a_pool_of_one_sample():
    pool = captions((0, "raw", "only", 0.1))
    for where in ({"top": 0.3}, {"top": 1.0}, {"best": 5}, {"at_least": -1}):
        assert chosen([{"use": "raw", "where": where}], pool) == {(uid_of(0), "only")}


def test_more_wanted_than_there_are_keeps_all():
    assert len(chosen([{"use": "raw", "where": {"best": 10_000}}], POOL)) == len(
        Truth(POOL).scored("raw")
    )


@pytest.mark.parametrize("where", [{"top": 0.3}, {"best": 3}, {"at_least": {"top": 1.0}}])
@pytest.mark.parametrize(
    "pool", [captions(), captions((0, "raw", None, None), (0, "blip2", "b", 0.2))]
)
def test_ranking_nothing_names_the_source(where, pool):
    mix = mix_of([{"use": "raw", "where": where}])
    with pytest.raises(EmptyPopulationError, match="'raw'"):
        realise(mix, "s", views_of(pool))


@pytest.mark.parametrize("rules", [[{"use": "raw"}], [{"use": "raw", "where": {"at_least": 0.1}}]])
def test_an_empty_pool_gives_an_empty_mix(rules):
    mix = mix_of(rules)
    thresholds = realise(mix, "s", views_of(captions()))
    assert select(mix, thresholds, captions(), {}).schema == PAIR_SCHEMA
    assert thresholds["n_at_or_above"].sum() == 0


def test_what_is_not_given_is_named():
    mix = mix_of([{"use": "raw", "where": {"all": [{"top": 0.3}, {"in_set": "in1k"}]}}])
    thresholds = realise(mix, "s", views_of(POOL))
    with pytest.raises(KeyError, match="in1k"):
        select(mix, thresholds, POOL, {})
    with pytest.raises(KeyError, match="top"):
        select(mix, thresholds.clear(), POOL, SETS)
    vague = mix_of([{"use": {"best_of": ["raw", "blip2"]}, "where": {"top": 0.3}}])
    with pytest.raises(ValueError, match=r"rules\.0\.where\.of"):
        cutoffs_needed(vague, "s")


def test_two_samples_of_one_uid_give_one_pair_whatever_the_order():
    pool = pl.concat([captions((0, "raw", text, 0.2)) for text in ("b", "a")])
    for candidates in (pool, pool.reverse()):
        assert chosen([{"use": "raw"}], candidates) == {(uid_of(0), "a")}


def test_a_stored_histogram_saves_reading_the_pool():
    raw = POOL.filter(pl.col("source") == "raw")
    asked = []

    def read(low):
        asked.append(low)
        yield raw.filter(pl.col("score") >= low)

    mix = mix_of([{"use": "raw", "where": {"top": 0.3}}])
    stored = pl.concat([score_histogram(raw["score"])[::2], score_histogram(raw["score"])[1::2]])
    found = realise(mix, "s", lambda _: ScoreView(read, stored))
    assert found.equals(realise(mix, "s", views_of(POOL)))
    assert len(asked) == 1
    assert asked[0] > found["value"][0] - 3e-4


def test_random_parts_of_a_view_hold_the_parts_scores():
    raw = POOL.filter(pl.col("source") == "raw")
    subset = RandomSubset(fraction=0.5, seed=2)
    part = ScoreView(lambda _: [raw]).within(subset)
    inside = raw.filter(is_within(subset, raw["uid"]))["score"].drop_nulls()
    assert part.population == len(inside)
    assert sorted(part.fetch(-1, 1)) == sorted(inside)
