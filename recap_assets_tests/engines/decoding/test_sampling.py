"""TokenSampler draws from the softmax, and from nothing but (seed, uid, candidate, position)."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from recap_assets.engines.decoding.sampling import TokenSampler, gumbel_noise, row_key
from recap_assets.specs.decoding import Decoding

VOCABULARY = 40
EOS = 3


def uids_of(n: int) -> list[bytes]:
    return [i.to_bytes(16, "big") for i in range(n)]


def decoding_of(**changes) -> Decoding:
    return Decoding(**{"min_tokens": 0, "top_k": 50, "temperature": 1.0, **changes})


def random_logits(rows: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, VOCABULARY, generator=generator) * 2


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 50), (0.75, 8), (2.0, 5)])
def test_frequencies_follow_the_softmax_of_the_top_k(temperature, top_k):
    n = 20_000
    logits = random_logits(1).expand(n, -1)
    decoding = decoding_of(temperature=temperature, top_k=top_k)
    ids, _ = TokenSampler(decoding, uids_of(n), 1, EOS, VOCABULARY).choose(logits, 0)
    kept = logits[0].topk(min(top_k, VOCABULARY)).indices
    expected = torch.zeros(VOCABULARY)
    expected[kept] = (logits[0, kept] / temperature).softmax(0) * n
    counts = torch.bincount(ids, minlength=VOCABULARY)
    assert counts[expected == 0].sum() == 0
    usual = expected >= 5
    statistic = ((counts - expected)[usual] ** 2 / expected[usual]).sum().item()
    freedom = int(usual.sum()) - 1
    # Mean + 4 deviations of chi-square: p below 0.001 for every freedom used here.
    assert statistic < freedom + 4 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
@pytest.mark.parametrize(("top_k", "top_p"), [(None, 0.6), (None, 0.95), (12, 0.8), (5, 0.999)])
def test_tokens_are_those_that_transformers_keeps(temperature, top_k, top_p):
    """Many draws from each row: none outside its nucleus, and the nucleus comes up whole."""
    n, rows = 3_000, random_logits(4, seed=3)
    warpers = [TemperatureLogitsWarper(temperature)]
    warpers += [TopKLogitsWarper(top_k)] if top_k else []
    kept = LogitsProcessorList([*warpers, TopPLogitsWarper(top_p)])(None, rows)
    decoding = decoding_of(temperature=temperature, top_k=top_k, top_p=top_p)
    sampler = TokenSampler(decoding, uids_of(4 * n), 1, EOS, VOCABULARY)
    ids, _ = sampler.choose(rows.repeat_interleave(n, 0), 0)
    for row in range(4):
        counts = torch.bincount(ids[row * n : (row + 1) * n], minlength=VOCABULARY)
        allowed = torch.isfinite(kept[row])
        assert not counts[~allowed].any()
        assert counts[allowed & (kept[row].softmax(0) > 0.01)].all()
        lowest = sampler._lowest_kept(rows[row : row + 1])
        assert torch.equal(rows[row] >= lowest[0], allowed)


def test_noise_is_independent_across_positions_candidates_and_seeds():
    tokens = np.arange(20_000)
    streams = [
        gumbel_noise(np.full(len(tokens), row_key(seed, b"u", candidate), np.uint64), at, tokens)
        for seed, candidate, at in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    ]
    correlations = np.corrcoef(streams)
    assert np.abs(correlations - np.eye(4)).max() < 0.03
    assert np.mean(streams[0]) == pytest.approx(0.5772, abs=0.04)
    assert np.var(streams[0]) == pytest.approx(np.pi**2 / 6, abs=0.08)


def test_values_are_pinned():
    """Captions of finished pools must come out the same after an upgrade."""
    assert row_key(0, bytes(16), 0) == 11836235727669946421
    noise = gumbel_noise(np.full(3, row_key(7, b"uid", 1), np.uint64), 4, np.array([0, 1, 30521]))
    np.testing.assert_allclose(
        noise, [-0.7367638740970691, 0.6618195772457102, 0.5969573829704771], rtol=1e-12
    )
    logits = torch.linspace(0, 2, VOCABULARY).expand(6, -1)
    sampler = TokenSampler(decoding_of(seed=7), uids_of(3), 2, EOS, VOCABULARY)
    assert sampler.choose(logits, 2)[0].tolist() == [20, 11, 35, 34, 39, 39]


@settings(max_examples=30)
@given(
    st.permutations(range(6)), st.integers(1, 6), st.integers(0, 50), st.integers(-(2**40), 2**40)
)
def test_a_token_depends_on_its_own_row_only(order, size, position, seed):
    candidates = 2
    logits = random_logits(6 * candidates, seed % 1000).view(6, candidates, VOCABULARY)
    uids = uids_of(6)
    decoding = decoding_of(seed=seed, top_k=10)

    def choose(images: list[int]) -> torch.Tensor:
        sampler = TokenSampler(decoding, [uids[i] for i in images], candidates, EOS, VOCABULARY)
        return torch.stack(sampler.choose(logits[images].flatten(0, 1), position), 1)

    whole = choose(list(range(6))).view(6, candidates, 2)
    batches = [order[i : i + size] for i in range(0, 6, size)]
    parts = torch.cat([choose(batch) for batch in batches]).view(6, candidates, 2)
    assert torch.equal(parts, whole[order])


def test_rows_name_the_captions_that_are_left():
    logits = random_logits(8)
    sampler = TokenSampler(decoding_of(), uids_of(4), 2, EOS, VOCABULARY)
    rows = torch.tensor([7, 1, 4])
    ids, log_probs = sampler.choose(logits, 3)
    some_ids, some_log_probs = sampler.choose(logits[rows], 3, rows)
    assert torch.equal(some_ids, ids[rows])
    assert torch.equal(some_log_probs, log_probs[rows])


def test_log_probability_is_that_of_the_untouched_distribution():
    logits = random_logits(16)
    decoding = decoding_of(temperature=0.3, top_k=2, min_tokens=5)
    ids, log_probs = TokenSampler(decoding, uids_of(16), 1, EOS, VOCABULARY).choose(logits, 0)
    expected = logits.log_softmax(1)[torch.arange(16), ids]
    torch.testing.assert_close(log_probs, expected)


@pytest.mark.parametrize("strategy", ["sample", "greedy"])
@pytest.mark.parametrize("eos", [EOS, [EOS, 5]])
def test_the_end_is_forbidden_before_min_tokens_only(strategy, eos):
    logits = torch.zeros(4, VOCABULARY)
    logits[:, EOS] = logits[:, 5] = 30.0
    before = logits.clone()
    sampler = TokenSampler(
        decoding_of(strategy=strategy, min_tokens=2, top_k=3), uids_of(4), 1, eos, VOCABULARY
    )
    forbidden = {eos} if isinstance(eos, int) else set(eos)
    assert not forbidden & set(sampler.choose(logits, 1)[0].tolist())
    assert set(sampler.choose(logits, 2)[0].tolist()) <= {EOS, 5}
    assert torch.equal(logits, before)


def test_own_logits_give_the_log_probability_and_choose_nothing():
    logits, own = random_logits(6), random_logits(6, seed=1)
    sampler = TokenSampler(decoding_of(), uids_of(6), 1, EOS, VOCABULARY)
    ids, log_probs = sampler.choose(logits, 0, own=own)
    assert torch.equal(ids, sampler.choose(logits, 0)[0])
    torch.testing.assert_close(log_probs, own.log_softmax(1)[torch.arange(6), ids])


def test_greedy_takes_the_lowest_of_equal_ids():
    logits = torch.zeros(2, VOCABULARY)
    logits[0, [9, 21]] = 1.0
    sampler = TokenSampler(decoding_of(strategy="greedy"), uids_of(2), 1, EOS, VOCABULARY)
    assert sampler.choose(logits, 0)[0].tolist() == [9, 0]


def test_all_tokens_that_tie_with_the_last_kept_take_part():
    n = 2_000
    logits = torch.zeros(n, VOCABULARY)
    logits[:, 0] = 1.0
    ids, _ = TokenSampler(decoding_of(top_k=2), uids_of(n), 1, EOS, VOCABULARY).choose(logits, 0)
    assert set(ids.tolist()) == set(range(VOCABULARY))


@pytest.mark.parametrize("options", [{}, {"top_p": 0.5}])
def test_logits_that_are_not_numbers_are_an_error(options):
    sampler = TokenSampler(decoding_of(**options), uids_of(1), 1, EOS, VOCABULARY)
    with pytest.raises(FloatingPointError, match="precision float32"):
        sampler.choose(torch.full((1, VOCABULARY), torch.nan), 0)


@pytest.mark.parametrize("options", [{}, {"top_p": 0.5}])
def test_no_rows(options):
    sampler = TokenSampler(decoding_of(**options), [], 2, EOS, VOCABULARY)
    ids, log_probs = sampler.choose(torch.zeros(0, VOCABULARY), 0)
    assert ids.shape == log_probs.shape == (0,)
