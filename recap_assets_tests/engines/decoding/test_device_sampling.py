"""The sampler of a GPU keeps the tokens and draws the noise of the one that waits."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.engines.decoding.device_sampling import (
    TIES,
    DeviceSampler,
    device_noise,
    stream_keys,
)
from recap_assets.engines.decoding.sampling import TokenSampler, gumbel_noise
from recap_assets.specs.decoding import Decoding

VOCABULARY, EOS = 400, (3, 17)
CPU = torch.device("cpu")
WORDS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20)


@given(WORDS, st.integers(0, 40_000), st.integers(0, 2**31))
def test_noise_is_numpys(words, position, token):
    """The integers wrap alike, so that the uniform numbers are equal; logarithms to a last bit."""
    keys = np.array(words, np.uint64)
    tokens = np.arange(token, token + len(keys), dtype=np.int64)
    expected = gumbel_noise(keys, position, tokens)
    found = device_noise(
        torch.from_numpy(keys.view(np.int64)), position, torch.from_numpy(tokens)[:, None]
    )
    np.testing.assert_array_max_ulp(found[:, 0].numpy(), expected, 4)


def logits_of(seed: int, dtype=torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(64, VOCABULARY, generator=generator)).to(dtype).float()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("strategy", ["sample", "greedy"])
@pytest.mark.parametrize("top_k", [1, 7, 50, VOCABULARY - TIES, None])
@pytest.mark.parametrize("top_p", [0.3, 0.9, 1.0])
def test_tokens_and_log_probabilities_are_the_waiting_samplers(dtype, strategy, top_k, top_p):
    top_p = top_p if strategy == "sample" else 1.0
    decoding = Decoding(
        strategy=strategy, top_k=top_k, top_p=top_p, min_tokens=2, temperature=0.7, seed=11
    )
    uids = [n.to_bytes(16, "big") for n in range(32)]
    waiting = TokenSampler(decoding, uids, 2, EOS, VOCABULARY)
    sampler = DeviceSampler(decoding, EOS, VOCABULARY, CPU)
    for position in range(4):
        logits = logits_of(position, dtype)
        ids, log_probs = waiting.choose(logits, position)
        found = sampler.choose(logits, position, stream_keys(decoding.seed, uids, 2))
        assert torch.equal(found.ids, ids)
        assert torch.equal(found.log_probs, log_probs)
        assert not found.is_cut.any()


def test_ends_are_forbidden_before_the_shortest_caption():
    decoding = Decoding(strategy="greedy", min_tokens=2)
    sampler = DeviceSampler(decoding, EOS, VOCABULARY, CPU)
    logits = torch.zeros(1, VOCABULARY)
    logits[0, 17], logits[0, 5] = 9, 8
    chosen = [int(sampler.choose(logits, n, torch.zeros(1).long()).ids) for n in range(4)]
    assert chosen == [5, 5, 17, 17]
    assert sampler.is_end(torch.tensor([3, 5, 17])).tolist() == [True, False, True]


def test_more_ties_than_were_taken_are_reported():
    sampler = DeviceSampler(Decoding(top_k=4, min_tokens=0), EOS, VOCABULARY, CPU)
    logits = torch.full((2, VOCABULARY), -9.0)
    logits[0, : 4 + TIES - 1] = 1
    logits[1, : 4 + TIES] = 1
    assert sampler.choose(logits, 0, torch.arange(2)).is_cut.tolist() == [False, True]


def test_a_row_without_a_finite_logit_has_no_finite_log_probability():
    sampler = DeviceSampler(Decoding(min_tokens=0), EOS, VOCABULARY, CPU)
    logits = logits_of(0)[:3]
    logits[1] = torch.nan
    assert sampler.choose(logits, 0, torch.arange(3)).log_probs.isfinite().tolist() == [
        True, False, True
    ]  # fmt: skip
