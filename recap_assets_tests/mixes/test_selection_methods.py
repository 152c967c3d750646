"""Published selection methods, uid for uid, against plain implementations of their formulas."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.mixes.copies import CopiesError, expected_copies, realise_copies
from recap_assets.specs.mixes import Copies, Mix
from recap_assets_tests.mixes.many_scores import ManyScores, cutoff_of, top

ROWS = 10_000


@pytest.fixture(scope="module")
def pool() -> ManyScores:
    return ManyScores(ROWS)


def mix(*rules: object, **fields: object) -> Mix:
    return Mix.model_validate({"scorer": "clip", "rules": list(rules), **fields})


def uids(pairs: pl.DataFrame) -> list[bytes]:
    return sorted(pairs["uid"])


def test_dfn_keeps_the_top_of_one_network(pool: ManyScores) -> None:
    wanted = top(pool.column("raw", "itm"), 0.15) & pool.best("raw").keys()
    found = pool.pairs(mix({"use": "raw", "where": {"top": 0.15, "of": "itm.raw"}}))
    assert uids(found) == sorted(wanted)
    assert 0.12 * ROWS < len(wanted) < 0.16 * ROWS


@pytest.mark.parametrize("of", ["sum.raw", "sum.used"])
def test_a_sum_of_scores_is_a_column_on_its_own_scale(pool: ManyScores, of: str) -> None:
    """T-MARS, HYPE: the sum itself is a combined scorer's; the mix takes it as it is."""
    wanted = top(pool.column("raw", "sum"), 0.2)
    assert uids(pool.pairs(mix({"use": "raw", "where": {"top": 0.2, "of": of}}))) == sorted(wanted)
    fixed = pool.pairs(mix({"use": "raw", "where": {"at_least": 25.5, "of": of}}))
    assert uids(fixed) == sorted(u for u, s in pool.column("raw", "sum").items() if s >= 25.5)


def test_two_columns_of_two_kinds(pool: ManyScores) -> None:
    where = {"all": [{"top": 0.5, "of": "itm.a"}, {"at_least": 5.2, "of": "aesthetic"}]}
    pretty = {uid for uid, score in pool.aesthetic.items() if score >= np.float32(5.2)}
    wanted = top(pool.column("a", "itm"), 0.5) & pretty & pool.best("a").keys()
    found = pool.pairs(mix({"use": "a", "where": where}))
    assert uids(found) == sorted(wanted)
    taken = {row["uid"]: (row["candidate"], row["score"]) for row in found.to_dicts()}
    assert all(pool.best("a")[uid] == one for uid, one in taken.items())


def best_of(pool: ManyScores, scorer: str) -> dict[bytes, tuple[str, int, float | None]]:
    """Source, candidate and score of the caption that a scorer likes best, of both sources."""
    found: dict[bytes, tuple[str, int, float | None]] = {}
    for source in ("raw", "a"):
        for uid, (candidate, score) in pool.best(source, scorer).items():
            held = found.get(uid)
            if held is None or (score is not None and (held[2] is None or score > held[2])):
                found[uid] = (source, candidate, score)
    return found


@pytest.mark.parametrize("scorer", ["clip", "itm"])
def test_compress_and_align_keeps_the_top_tenth_of_the_best(pool: ManyScores, scorer: str) -> None:
    chosen = best_of(pool, scorer)
    scored = {uid: score for uid, (_, _, score) in chosen.items() if score is not None}
    wanted = top(scored, 0.1)
    use = {"best_of": ["raw", "a"]} | ({} if scorer == "clip" else {"scorer": scorer})
    of = "used" if scorer == "clip" else f"{scorer}.used"
    found = pool.pairs(mix({"use": use, "where": {"top": 0.1, "of": of}}))
    assert uids(found) == sorted(wanted)
    for row in found.to_dicts():
        source, candidate, _ = chosen[row["uid"]]
        assert (row["source"], row["candidate"]) == (source, candidate)
        # What is stored is the mix's own score, whoever chose.
        assert row["score"] == pool.scores["clip", source][row["uid"]][candidate]


def test_another_scorer_says_how_good_the_text_is_that_was_taken(pool: ManyScores) -> None:
    chosen = best_of(pool, "clip")
    theirs = {uid: pool.scores["itm", s][uid][c] for uid, (s, c, _) in chosen.items()}
    wanted = top({uid: score for uid, score in theirs.items() if score is not None}, 0.1)
    where = {"top": 0.1, "of": "itm.used"}
    found = pool.pairs(mix({"use": {"best_of": ["raw", "a"]}, "where": where}))
    assert uids(found) == sorted(wanted)


def test_the_text_that_chance_takes_is_ranked_by_its_own_score(pool: ManyScores) -> None:
    draws, drawn = pool.draws(4, "source"), {}
    for uid in pool.uids:
        there = [source for source in ("a", "raw") if uid in pool.best(source)]
        if there:
            at = draws[uid] * len(there)
            _, score = pool.best(there[int(at)])[uid]
            if score is not None:
                drawn[uid] = score
    use = {"random_of": {"raw": 1, "a": 1}, "seed": 4}
    found = pool.pairs(mix({"use": use, "where": {"top": 0.25, "of": "used"}}))
    assert uids(found) == sorted(top(drawn, 0.25))


def test_a_cutoff_is_transferred_between_columns(pool: ManyScores) -> None:
    raw = pool.column("raw", "itm")
    first = top(raw, 0.3) & pool.best("raw").keys()
    cut = cutoff_of(raw, 0.3)
    theirs = {u: pool.scores["itm", "a"][u][c] for u, (c, _) in pool.best("a").items()}
    second = {u for u, s in theirs.items() if s is not None and np.float32(s) >= cut} - first
    found = pool.pairs(
        mix(
            {"use": "raw", "where": {"top": 0.3, "of": "itm.raw"}},
            {"use": "a", "where": {"at_least": {"top": 0.3, "of": "itm.raw"}, "of": "itm.used"}},
        )
    )
    assert uids(found.filter(pl.col("rule") == 0)) == sorted(first)
    assert uids(found.filter(pl.col("rule") == 1)) == sorted(second)
    assert len(second) > 100


def test_datacomps_intersection_of_two_filters(pool: ManyScores) -> None:
    near = pool.uids[::3]
    sets = {"image_based": pl.Series(near, dtype=pl.Binary)}
    found = pool.pairs(
        mix({"use": "raw", "where": {"all": [{"top": 0.3}, {"in_set": "image_based"}]}}), sets
    )
    assert uids(found) == sorted(top(pool.column("raw"), 0.3) & set(near))


def plain_copies(spec: Copies, score: float, one: float, draw: float) -> int:
    """The formula as it is printed, for one pair."""
    if spec.weights == "softmax":
        ratio = math.exp((score - one) / spec.temperature)
    else:
        ratio = max(score, 0.0) / one
    if spec.penalty:
        ratio = math.log1p(math.expm1(spec.penalty) * ratio) / spec.penalty
    expected = min(spec.cap, ratio)
    return math.floor(expected) + (draw < expected - math.floor(expected))


COPIES = [
    {"of": "sum.used", "size": 4_000, "cap": 100, "temperature": 4, "penalty": 0.15, "seed": 3},
    {"of": "sum.used", "size": 9_000, "cap": 3, "temperature": 2},
    {"of": "aesthetic", "size": 20_000, "cap": 8, "weights": "linear"},
    {"of": "itm.used", "size": 500, "cap": 2, "temperature": 0.01},
]


@pytest.mark.parametrize("written", COPIES, ids=str)
def test_copies_are_those_of_the_formula(pool: ManyScores, written: dict[str, object]) -> None:
    spec = Copies.model_validate(written)
    chosen = best_of(pool, "clip")
    if spec.of == "aesthetic":
        scores = {uid: score for uid, score in pool.aesthetic.items() if uid in chosen}
    else:
        scorer = spec.of.partition(".")[0]
        of = {uid: pool.scores[scorer, s][uid][c] for uid, (s, c, _) in chosen.items()}
        scores = {uid: score for uid, score in of.items() if score is not None}
    wanted = mix({"use": {"best_of": ["raw", "a"]}}, copies=written)
    cut = pool.cutoffs(wanted).row(by_predicate=pl.col("path") == "copies", named=True)
    one = cut["value"]
    values = np.array(list(scores.values()), np.float64)
    assert expected_copies(spec, values, one).sum() == pytest.approx(spec.size, rel=1e-3)
    assert (cut["kind"], cut["requested"], cut["population"]) == ("copies", spec.size, len(scores))
    assert cut["n_at_or_above"] == (values.astype(np.float32) >= np.float32(one)).sum()
    draws = pool.draws(spec.seed, "copies")
    plain = {uid: plain_copies(spec, score, one, draws[uid]) for uid, score in scores.items()}
    found = pool.pairs(wanted)
    assert dict(found.select("uid", "copies").iter_rows()) == {u: n for u, n in plain.items() if n}
    assert found["copies"].max() <= spec.cap
    assert found["copies"].sum() == pytest.approx(spec.size, abs=4 * math.sqrt(len(scores)) / 2)
    assert pool.pairs(wanted, in_parts=False).sort("uid").equals(found.sort("uid"))


def soft_cap_sampling(
    scores: np.ndarray, penalty: float, size: int, batch: int, random: np.random.Generator
) -> np.ndarray:
    """M-FLYT's algorithm: batches without replacement, each draw takes the penalty off."""
    logits, copies = scores.copy(), np.zeros(len(scores))
    while copies.sum() < size:
        weights = np.exp(logits - logits.max())
        n = int(min(batch, size - copies.sum()))
        drawn = random.choice(len(scores), n, replace=False, p=weights / weights.sum())
        copies[drawn] += 1
        logits[drawn] -= penalty
    return copies


def test_expected_copies_are_those_of_soft_cap_sampling() -> None:
    random = np.random.default_rng(0)
    scores, size, penalty = random.normal(0, 2, 2_000), 6_000, 0.5
    runs = [soft_cap_sampling(scores, penalty, size, 20, random) for _ in range(6)]
    spec = Copies(size=size, cap=1_000, penalty=penalty)
    frame = pl.Series(scores, dtype=pl.Float32)
    one = realise_copies(spec, [frame[:700], frame[700:]]).value
    ours = expected_copies(spec, scores, one)
    theirs = np.mean(runs, axis=0)
    for part in np.array_split(np.argsort(scores), 10)[3:]:
        assert ours[part].mean() == pytest.approx(theirs[part].mean(), rel=0.12, abs=0.06)


@given(
    scores=st.lists(st.floats(-5, 40, width=16), min_size=1, max_size=60),
    share=st.floats(0.01, 1.0),
    cap=st.integers(1, 9),
    penalty=st.sampled_from([0.0, 1e-9, 0.15, 3.0]),
    temperature=st.sampled_from([0.05, 1.0, 30.0]),
)
@settings(max_examples=30)
def test_any_number_up_to_the_cap_of_all_can_be_asked_for(scores, share, cap, penalty, temperature):
    size = max(1, int(share * cap * len(scores)))
    spec = Copies(size=size, cap=cap, penalty=penalty, temperature=temperature)
    values = pl.Series(scores, dtype=pl.Float32)
    cut = realise_copies(spec, [values[:7], values[7:]])
    assert cut == realise_copies(spec, [values.reverse()])
    total = expected_copies(spec, values.cast(pl.Float64).to_numpy(), cut.value).sum()
    # The cut-off is a float32, which at a low temperature is coarse.
    coarse = float(np.spacing(np.float32(abs(cut.value)))) / temperature
    assert total == pytest.approx(size, rel=2e-3 + 2 * coarse)
    too_many = spec.model_copy(update={"size": cap * len(scores) + 1})
    with pytest.raises(CopiesError, match="raise cap, lower size"):
        realise_copies(too_many, [values])
