import re

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recap_assets.artefacts.uids import is_within, subset_draw
from recap_assets.mixes.cutoffs import realise
from recap_assets.mixes.explanation import explain
from recap_assets.mixes.selection import PAIR_SCHEMA, select
from recap_assets.mixes.thresholds import EmptyPopulationError
from recap_assets.specs.mixes import Mix, RandomSubset
from recap_assets_tests.mixes.pools import SCHEMA, SOURCES, uid_of, views_of

# Few values, so that ties and scores exactly at a cut-off are common.
SCORES = st.sampled_from([None, 0.1, 0.2, 0.2, 0.3, -0.1])
NAMES = st.sampled_from(SOURCES)


@st.composite
def pools(draw):
    rows = []
    for i in range(draw(st.integers(1, 7))):
        for source in SOURCES:
            for candidate in range(draw(st.integers(0, 3))):
                text = draw(st.sampled_from([None, "a", "b"]))
                score = None if text is None else draw(SCORES)
                rows.append((uid_of(i), 0, source, candidate, text, score))
    assume(rows)
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def cutoffs():
    of = {"of": NAMES}
    top = st.fixed_dictionaries({"top": st.sampled_from([0.3, 0.5, 1.0]), **of})
    best = st.fixed_dictionaries({"best": st.integers(1, 4), **of})
    at_least = st.one_of(st.sampled_from([0.1, 0.2, 0.25]), top, best)
    return st.one_of(top, best, st.fixed_dictionaries({"at_least": at_least, **of}))


def conditions():
    in_set = st.fixed_dictionaries({"in_set": st.sampled_from(["some", "none"])})
    return st.recursive(
        st.one_of(cutoffs(), in_set),
        lambda inner: st.one_of(
            st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"without": inner}),
        ),
        max_leaves=4,
    )


def uses():
    several = st.lists(NAMES, min_size=2, max_size=3, unique=True)
    weights = st.dictionaries(NAMES, st.sampled_from([0.5, 1.0, 3.0]), min_size=2)
    return st.one_of(
        NAMES,
        st.fixed_dictionaries({"best_of": several}),
        st.fixed_dictionaries({"random_of": weights, "seed": st.integers(0, 9)}),
        st.fixed_dictionaries({"join": several}),
        st.fixed_dictionaries({"each": weights}),
    )


def mixes():
    rule = st.fixed_dictionaries(
        {"use": uses()},
        optional={
            "where": conditions(),
            "weight": st.sampled_from([0.5, 2.0]),
            "candidates": st.sampled_from([1, 2, 5, "all"]),
        },
    ).filter(lambda rule: rule.get("candidates", 1) == 1 or "join" not in rule["use"])
    within = st.fixed_dictionaries(
        {"fraction": st.sampled_from([0.3, 0.7, 1.0]), "seed": st.integers(0, 9)}
    )
    return st.fixed_dictionaries(
        {"rules": st.lists(rule, min_size=1, max_size=4)},
        optional={"combine": st.sampled_from(["first", "all"]), "within": within},
    ).map(Mix.model_validate)


SETS = {
    "some": pl.Series([uid_of(i) for i in (0, 2, 3)], dtype=pl.Binary),
    "none": pl.Series([], dtype=pl.Binary),
}


def told(mix, pool, uid, sets=SETS):
    return explain(mix, realise(mix, "s", views_of(pool)), pool, sets, uid)


def holds_by_its_parts(clause):
    """Three-valued logic by hand, from what the leaves say."""
    parts = [holds_by_its_parts(part) for part in clause.parts]
    if not parts:
        return clause.holds
    if clause.words.startswith("all of"):
        return False if False in parts else None if None in parts else True
    if clause.words.startswith("any of"):
        return True if True in parts else None if None in parts else False
    return None if parts[0] is None else not parts[0]


def leaves(clause):
    if clause is None:
        return
    if not clause.parts:
        yield clause
    for part in clause.parts:
        yield from leaves(part)


def check_words(clause):
    """What a leaf claims, read back from its own words."""
    words = clause.words
    if words.startswith("in_set"):
        assert clause.holds == words.endswith(": yes")
    elif "has no" in words:
        assert clause.holds is None
    else:
        score, sign, cutoff = words.split(" score ")[1].replace("cut-off ", "").split(" ")[:3]
        assert (sign == ">=") == clause.holds == (np.float32(score) >= np.float32(cutoff))
        assert ("a tie" in words) == (np.float32(score) == np.float32(cutoff))


def further(words):
    """What a rule tells of the candidates after the best one: source, how many, weight."""
    return [
        (source, int(n), f"{np.float32(weight):g}")
        for source, n, weight in re.findall(
            r"(\w+) gives its (\d+) best candidates, weight (\S+) each", words
        )
    ]


@given(pool=pools(), mix=mixes())
@settings(max_examples=80)
def test_an_explanation_agrees_with_the_selection_for_every_image(pool, mix):
    try:
        cuts = realise(mix, "s", views_of(pool))
    except EmptyPopulationError:
        assume(False)
    pairs = select(mix, cuts, pool, SETS)
    for uid in pool["uid"].unique().sort():
        why = explain(mix, cuts, pool, SETS, uid)
        of_image = pairs.filter(pl.col("uid") == pl.lit(uid))
        assert why.pairs.equals(of_image)
        takers = [rule.rule for rule in why.rules if rule.outcome == "takes"]
        assert takers == of_image["rule"].unique().sort().to_list()
        assert why.words.startswith("in the mix") == bool(takers)
        told = [word for rule in why.rules if rule.outcome == "takes" for word in further(rule.use)]
        several = of_image.group_by("rule", "source").agg(pl.len(), pl.col("weight").first())
        expected = several.filter(pl.col("len") > 1).sort("rule", "source")
        assert sorted(told) == sorted(
            (source, n, f"{weight:g}") for _, source, n, weight in expected.iter_rows()
        )
        inside = mix.within is None or is_within(mix.within, pl.Series([uid])).item()
        for rule in why.rules:
            expected = rule.accepts and inside
            if mix.combine == "first" and takers and rule.rule > takers[0]:
                assert rule.outcome == "not_asked"
            elif inside:
                assert rule.outcome == ("takes" if expected else "passes_on")
            else:
                assert rule.outcome == "not_asked"
            if rule.where is not None:
                assert rule.where.holds == holds_by_its_parts(rule.where)
                assert rule.accepts <= (rule.where.holds is True)
            for leaf in leaves(rule.where):
                check_words(leaf)


def captions(*rows):
    full = [(uid_of(i), 0, source, n, text, score) for i, source, n, text, score in rows]
    return pl.DataFrame(full, schema=SCHEMA, orient="row")


def mix_of(*rules, **more):
    return Mix.model_validate({"rules": list(rules), **more})


def test_a_rule_that_passes_an_image_on_says_by_how_much():
    pool = captions(
        *((i, "raw", 0, f"r{i}", 0.2 + i / 100) for i in range(10)), (3, "blip2", 0, "b", 0.31)
    )
    mix = mix_of({"use": "raw", "where": {"top": 0.3}}, {"use": {"best_of": ["raw", "blip2"]}})
    why = told(mix, pool, uid_of(3))
    first, second = why.rules
    assert first.words == (
        "raw score 0.2300 < cut-off 0.2600 (top 30 % of 10 by raw score), so rules.0 passes it on"
    )
    assert second.words == "rules.1 takes it: best_of [raw, blip2]: blip2 0.3100 beats raw 0.2300"
    assert why.words == "in the mix: rules.1 takes it with blip2"
    asked_later = told(mix, pool, uid_of(9)).rules[1]
    assert asked_later.outcome == "not_asked"
    assert (
        asked_later.words == "rules.1 is not asked: rules.0 took the image (it would take it too)"
    )


def test_a_score_at_the_cutoff_is_told_as_a_tie():
    pool = captions(*((i, "raw", 0, "r", [0.1, 0.2, 0.2][i]) for i in range(3)))
    rule = told(mix_of({"use": "raw", "where": {"best": 1}}), pool, uid_of(2)).rules[0]
    assert rule.where.words == (
        "raw score 0.2000 >= cut-off 0.2000 (best 1 of 3 by raw score), a tie; 2 tied: "
        "ties are kept"
    )


def test_numbers_that_differ_are_shown_to_differ():
    below = float(np.nextafter(np.float32(0.2), np.float32(0)))
    pool = captions((0, "raw", 0, "r", below), (1, "raw", 0, "r", 0.2))
    where = told(mix_of({"use": "raw", "where": {"best": 1}}), pool, uid_of(0)).rules[0].where
    assert where.holds is False
    score, cutoff = where.words.split(" score ")[1].split(" (")[0].split(" < cut-off ")
    assert float(score) < float(cutoff)


def test_the_candidates_of_a_rule_are_told_with_their_share_of_the_weight():
    pool = captions(
        (0, "coca", 0, "c", 0.2), (0, "coca", 1, "d", 0.3), (0, "coca", 2, "e", None),
        (1, "coca", 0, "f", 0.1),
    )  # fmt: skip
    mix = mix_of({"use": "coca", "candidates": "all", "weight": 3})
    assert told(mix, pool, uid_of(0)).rules[0].use == (
        "use coca 0.3000 (candidate 1); coca gives its 3 best candidates, weight 1 each"
    )
    assert told(mix, pool, uid_of(1)).rules[0].use == "use coca 0.1000"


@pytest.mark.parametrize(("text", "missing"), [(None, "text"), ("r", "score")])
def test_an_unscored_caption_is_unknown_and_not_accepted(text, missing):
    pool = captions((0, "raw", 0, text, None), (0, "blip2", 0, "b", 0.1))
    mix = mix_of({"use": "blip2", "where": {"without": {"at_least": 0.2, "of": "raw"}}})
    rule = told(mix, pool, uid_of(0)).rules[0]
    assert rule.outcome == "passes_on"
    assert rule.where.holds is None
    assert rule.where.parts[0].words.startswith(f"raw has no {missing}; unknown is not accepted")
    assert rule.words == (
        "its condition is unknown, as a score is missing, so rules.0 passes it on"
    )


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("coca", "use coca 0.3000 (candidate 1)"),
        ({"best_of": ["raw", "coca"]},
         "best_of [raw, coca]: raw 0.3000 ties with coca 0.3000 (candidate 1) and is named first"),
        ({"best_of": ["blip2", "raw"]},
         "best_of [blip2, raw]: raw 0.3000 is the only one with a text; blip2 has no text"),
        ({"join": ["raw", "coca"]}, "join [raw, coca]: raw 0.3000, coca 0.3000 (candidate 1)"),
        ({"join": ["raw", "blip2"]},
         "join needs the text of [raw, blip2], and blip2 has none"),
        ({"each": {"raw": 1, "coca": 3}},
         "each of [raw, coca]: raw 0.3000, weight 2, coca 0.3000 (candidate 1), weight 6"),
        ("blip2", "blip2 has no text"),
    ],
)  # fmt: skip
def test_which_caption_is_used_and_why(use, words):
    pool = captions(
        (0, "raw", 0, "r", 0.3), (0, "coca", 0, "c", 0.2), (0, "coca", 1, "d", 0.3),
        (0, "blip2", 0, None, None),
    )  # fmt: skip
    assert told(mix_of({"use": use, "weight": 2}), pool, uid_of(0)).rules[0].use == words


def test_unscored_captions_are_told_to_rank_last():
    pool = captions((0, "raw", 0, "r", None), (0, "blip2", 0, "b", -0.5), (1, "raw", 0, "r", None),
                    (1, "blip2", 0, "b", None))  # fmt: skip
    mix = mix_of({"use": {"best_of": ["raw", "blip2"]}})
    assert told(mix, pool, uid_of(0)).rules[0].use == (
        "best_of [raw, blip2]: blip2 -0.5000 beats raw, which has no score"
    )
    assert told(mix, pool, uid_of(1)).rules[0].use == (
        "best_of [raw, blip2]: none has a score, and raw is named before blip2"
    )


def test_a_draw_among_sources_is_told_with_its_number():
    use = {"random_of": {"raw": 1, "blip2": 2, "coca": 1}, "seed": 4}
    mix = mix_of({"use": use})
    for i in range(20):
        pool = captions((i, "raw", 0, "r", 0.3), (i, "blip2", 0, "b", None))
        why = told(mix, pool, uid_of(i))
        words = why.rules[0].use
        assert words.startswith("random_of (seed 4): ")
        assert "falls among blip2 0 to 2, raw 2 to 3:" in words
        assert words.endswith("; coca has no text")
        at = float(words.split("): ")[1].split(" falls")[0])
        assert why.pairs["source"].item() == ("blip2" if at < 2 else "raw")


def test_outside_of_its_part_of_the_pool_a_mix_sees_nothing():
    subset = RandomSubset(fraction=0.5, seed=3)
    mix = mix_of({"use": "raw"}, within=subset)
    pool = captions(*((i, "raw", 0, "r", 0.3) for i in range(20)))
    for i in range(20):
        why = told(mix, pool, uid_of(i))
        draw = subset_draw(subset, pl.Series([uid_of(i)]))[0]
        inside = draw < 0.5
        assert why.within == (
            f"{'inside' if inside else 'outside'} the random 50 % of the pool (seed 3): "
            f"draw {draw:.4f} {'<' if inside else '>='} 0.5000"
        )
        assert why.rules[0].outcome == ("takes" if inside else "not_asked")
        assert why.pairs.height == int(inside)


def test_a_mix_that_never_saw_the_image_says_so():
    pool = captions((0, "raw", 0, "r", 0.3), (1, "blip2", 0, "b", 0.3))
    why = told(mix_of({"use": "raw"}), pool, uid_of(1))
    assert why.words == "no source that the mix reads (raw) has this image"
    assert why.pairs.equals(pl.DataFrame(schema=PAIR_SCHEMA))
