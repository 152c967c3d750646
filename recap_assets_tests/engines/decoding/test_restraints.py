"""Rules on what a caption may say: those of transformers, row by row."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)

from recap_assets.engines.decoding.restraints import restrained, without_end
from recap_assets.specs.decoding import Decoding

VOCABULARY = 6

captions = st.integers(0, 9).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, VOCABULARY - 1), min_size=n, max_size=n), min_size=1, max_size=4
    )
)


def logits_of(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60)
@given(captions, st.integers(1, 4), st.floats(1, 3), st.integers(0, 99))
def test_rules_are_those_of_transformers(written, ngram, penalty, seed):
    ids = torch.tensor(written, dtype=torch.int64).view(len(written), -1)
    logits = logits_of(len(ids), seed)
    before = logits.clone()
    decoding = Decoding(repetition_penalty=penalty, no_repeat_ngram=ngram)
    expected = logits.clone()
    if ids.shape[1]:
        expected = RepetitionPenaltyLogitsProcessor(penalty)(ids, expected)
        expected = NoRepeatNGramLogitsProcessor(ngram)(ids, expected)
    torch.testing.assert_close(restrained(logits, ids, decoding), expected)
    assert torch.equal(logits, before)


def test_without_rules_nothing_is_copied():
    logits = logits_of(3)
    assert restrained(logits, torch.ones(3, 5, dtype=torch.int64), Decoding()) is logits
    assert without_end(logits, 5, Decoding(min_tokens=5), [1]) is logits


@pytest.mark.parametrize("position", [0, 4])
def test_the_end_is_forbidden_before_the_shortest_length(position):
    logits = logits_of(2)
    changed = without_end(logits, position, Decoding(min_tokens=5), [1, 4])
    assert torch.isneginf(changed[:, [1, 4]]).all()
    assert torch.equal(changed[:, [0, 2, 3, 5]], logits[:, [0, 2, 3, 5]])
