"""Several candidates of an image in a mix, against plain loops over the same captions."""

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from recap_assets.mixes.cutoffs import realise
from recap_assets.mixes.difference import Comparison
from recap_assets.mixes.images import Images
from recap_assets.mixes.selection import decide, select
from recap_assets.mixes.thresholds import EmptyPopulationError
from recap_assets.mixes.trial import Part, try_mixes
from recap_assets.specs.left_out import without_source
from recap_assets.specs.mixes import Mix
from recap_assets_tests.mixes.pools import SCHEMA, SOURCES, uid_of, views_of
from recap_assets_tests.mixes.test_explanation import conditions
from recap_assets_tests.mixes.test_strategies import experiment

SETS = {"some": pl.Series([uid_of(1)], dtype=pl.Binary), "none": pl.Series([], dtype=pl.Binary)}
SCORES = st.sampled_from([None, 0.1, 0.2, 0.2, 0.3])


@st.composite
def pools(draw):
    rows = []
    for i in range(draw(st.integers(1, 6))):
        for source in SOURCES:
            for candidate in range(draw(st.integers(0, 4))):
                text = draw(st.sampled_from([None, "a", "b", "c"]))
                score = None if text is None else draw(SCORES)
                rows.append((uid_of(i), i % 2, source, candidate, text, score))
    assume(rows)
    return pl.DataFrame(draw(st.permutations(rows)), schema=SCHEMA, orient="row")


def rules():
    name = st.sampled_from(SOURCES)
    weights = st.dictionaries(name, st.sampled_from([0.5, 1.0, 3.0]), min_size=2)
    several = st.lists(name, min_size=2, max_size=3, unique=True)
    use = st.one_of(
        name,
        st.fixed_dictionaries({"each": weights}),
        st.fixed_dictionaries({"best_of": several}),
        st.fixed_dictionaries({"random_of": weights}),
    )
    return st.fixed_dictionaries(
        {"use": use, "candidates": st.sampled_from([1, 2, 3, 64, "all"])},
        optional={"where": conditions(), "weight": st.sampled_from([0.5, 2.0])},
    )


def with_one_candidate(mix):
    rules = tuple(rule.model_copy(update={"candidates": 1}) for rule in mix.rules)
    return mix.model_copy(update={"rules": rules})


def ranked(pool, uid, source):
    """The captions of one source for one image that have a text, the best first."""
    rows = pool.filter((pl.col("uid") == uid) & (pl.col("source") == source)).to_dicts()
    there = [row for row in rows if row["text"] is not None]
    return sorted(
        there, key=lambda r: (np.inf if r["score"] is None else -r["score"], r["candidate"])
    )


@given(
    pool=pools(),
    rules=st.lists(rules(), min_size=1, max_size=3),
    combine=st.sampled_from(["first", "all"]),
)
@settings(max_examples=80)
def test_each_pair_of_the_best_candidate_becomes_a_pair_of_each_candidate(pool, rules, combine):
    mix = Mix.model_validate({"rules": rules, "combine": combine})
    try:
        cuts = realise(mix, "s", views_of(pool))
    except EmptyPopulationError:
        assume(False)
    expected = []
    for pair in select(with_one_candidate(mix), cuts, pool, SETS).to_dicts():
        wanted = mix.rules[pair["rule"]].candidates
        there = ranked(pool, pair["uid"], pair["source"])
        chosen = there if wanted == "all" else there[:wanted]
        expected += [
            {
                **pair,
                **{name: row[name] for name in ("candidate", "text", "score")},
                "weight": pair["weight"] / len(chosen),
            }
            for row in chosen
        ]
    found = select(mix, cuts, pool, SETS)
    order = ("shard", "uid", "rule", "source", "candidate")
    plain = pl.DataFrame(expected, schema=found.schema, orient="row").sort(order)
    assert found.drop("weight").equals(plain.drop("weight"))
    assert np.allclose(found["weight"], plain["weight"], rtol=1e-6)
    assert found.select(order).is_unique().all()


@given(pool=pools())
@settings(max_examples=30)
def test_an_image_weighs_the_same_however_many_candidates_it_has(pool):
    mix = Mix.model_validate({"rules": [{"use": "coca", "candidates": "all", "weight": 2}]})
    cuts = realise(mix, "s", views_of(pool))
    weights = select(mix, cuts, pool, {}).group_by("uid").agg(pl.col("weight").sum())
    assert np.allclose(weights["weight"], 2.0)


CAPTIONS = [
    (0, "coca", 0, "low", 0.1), (0, "coca", 1, "high", 0.3), (0, "coca", 2, "unscored", None),
    (1, "coca", 0, "only", 0.2), (2, "coca", 0, None, None), (2, "coca", 1, "x", 0.05),
]  # fmt: skip


def small_pool():
    rows = [(uid_of(i), 0, source, n, text, score) for i, source, n, text, score in CAPTIONS]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def texts(**rule):
    mix = Mix.model_validate({"rules": [{"use": "coca", **rule}]})
    pairs = select(mix, realise(mix, "s", views_of(small_pool())), small_pool(), {})
    return {
        (pair["text"], round(pair["weight"], 4))
        for pair in pairs.iter_rows(named=True)
        if pair["uid"] in (uid_of(0), uid_of(1))
    }


def test_candidates_as_a_user_writes_them():
    assert texts() == {("high", 1.0), ("only", 1.0)}
    assert texts(candidates=2) == {("high", 0.5), ("low", 0.5), ("only", 1.0)}
    assert texts(candidates="all") == {
        ("high", 0.3333), ("low", 0.3333), ("unscored", 0.3333), ("only", 1.0)
    }  # fmt: skip
    # The condition is asked of the best candidate; those behind it come with it.
    assert texts(candidates="all", where={"at_least": 0.25}) == {
        ("high", 0.3333), ("low", 0.3333), ("unscored", 0.3333)
    }  # fmt: skip


@pytest.mark.parametrize(
    "rule",
    [
        {"use": {"join": ["raw", "coca"]}, "candidates": 2},
        {"use": "coca", "candidates": 0},
        {"use": "coca", "candidates": "some"},
        {"use": "coca", "candidates": 65},
    ],
)
def test_what_cannot_be_meant_is_refused(rule):
    with pytest.raises(ValidationError, match="candidates"):
        Mix.model_validate({"rules": [rule]})


def test_counting_a_mix_counts_its_candidates():
    mix = {"rules": [{"use": "coca", "candidates": "all", "where": {"top": 1.0}}]}
    spec = experiment().model_copy(update={"mixes": {"m": Mix.model_validate(mix)}})
    pool = small_pool().drop("text")
    cuts = {"m": realise(spec.mixes["m"], "l14", views_of(pool))}
    (row,) = try_mixes(spec, cuts, [Part({"l14": pool}, {})]).to_dicts()
    # Without texts a caption is there where it has a score.
    assert (row["n_pairs"], row["n_images"]) == (4, 3)
    assert row["mean_score"] == pytest.approx((0.1 + 0.3 + 0.2 + 0.05) / 4)


def test_without_a_source_the_others_keep_their_candidates():
    rule = {"use": {"each": {"raw": 1, "coca": 3}}, "candidates": 2}
    left = without_source("m", Mix.model_validate({"rules": [rule]}), "raw")
    (rule,) = left.model_dump()["rules"]
    assert (rule["use"], rule["candidates"], rule["weight"]) == ("coca", 2, 3.0)


def test_images_of_several_mixes_serve_each_of_them():
    pool = small_pool()
    mixes = [
        Mix.model_validate({"rules": [{"use": "coca", "candidates": c}]}) for c in (1, 2, "all")
    ]
    together = Images.for_mixes(pool, mixes)
    for mix in mixes:
        cuts = realise(mix, "s", views_of(pool))
        assert decide(mix, cuts, together, {}).emit().equals(select(mix, cuts, pool, {}))


def test_a_difference_sees_candidates_as_other_captions():
    pool = small_pool()
    one, all_of_them = (
        Mix.model_validate({"rules": [{"use": "coca", "candidates": c}]}) for c in (1, "all")
    )
    comparison = Comparison()
    comparison.add(
        *(select(mix, realise(mix, "s", views_of(pool)), pool, {}) for mix in (one, all_of_them))
    )
    assert (comparison.n_same, comparison.n_changed["recaptioned"]) == (2, 1)
    assert (comparison.before.n_pairs, comparison.after.n_pairs) == (3, 5)
