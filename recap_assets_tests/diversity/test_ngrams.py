from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk import ngrams

from recap_assets.diversity.ngrams import (
    distinct_trigram_hashes,
    trigram_keys,
    trigram_owners,
    unique_trigrams,
)
from recap_assets.diversity.words import encode

TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=7).map(" ".join), max_size=12
)


def counted(texts):
    counter = Counter()
    for text in texts:
        counter.update(ngrams(text.split(), 3))
    return counter


@given(TEXTS)
def test_distinct_trigrams_are_nltks(texts):
    assert unique_trigrams(pl.Series(texts, dtype=pl.String)) == len(counted(texts))


@pytest.mark.parametrize("bits", [21, 1])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_neither_chunks_nor_huge_vocabularies_change_the_count(monkeypatch, chunk, bits):
    texts = ["a b c d", "b c d", "", "x y", "c d a b c", "a b c d e f", "b c d e"]
    monkeypatch.setattr("recap_assets.diversity.ngrams._CHUNK", chunk)
    monkeypatch.setattr("recap_assets.diversity.ngrams._BITS", bits)
    assert unique_trigrams(pl.Series(texts)) == len(counted(texts))


@given(TEXTS)
@pytest.mark.parametrize("bits", [21, 1])
def test_each_trigram_has_a_key_and_an_owner(bits, texts):
    # With one bit for a word, three or more words take the path of a huge vocabulary.
    encoded = encode(pl.Series(texts, dtype=pl.String))
    keys = trigram_keys(encoded, bits).tolist()
    owners = trigram_owners(encoded.lengths).tolist()
    trigrams = [(i, gram) for i, text in enumerate(texts) for gram in ngrams(text.split(), 3)]
    assert owners == [i for i, _ in trigrams]
    grams = [gram for _, gram in trigrams]
    assert len(keys) == len(grams)
    assert len(set(zip(keys, grams, strict=True))) == len(set(keys)) == len(set(grams))


def test_no_trigram_spans_two_captions():
    assert unique_trigrams(pl.Series(["a b", "c d", "e f", "g h i"])) == 1


@pytest.mark.parametrize("texts", [[], [None], [""], ["a b"], [None, "a", ""]])
def test_texts_without_trigrams(texts):
    assert unique_trigrams(pl.Series(texts, dtype=pl.String)) == 0


def test_hashes_know_order_within_and_nothing_else():
    one = distinct_trigram_hashes(encode(pl.Series(["a b c d", "x a b c"])))
    other = distinct_trigram_hashes(encode(pl.Series(["b c d", "x a b", "a b c", "b c d"])))
    assert np.array_equal(one, other)
    assert len(one) == 3
    reordered = distinct_trigram_hashes(encode(pl.Series(["a b c", "a c b", "b a c", "c b a"])))
    assert len(reordered) == 4
