import gzip
import hashlib
import itertools
import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk import ngrams

from recap_assets.artefacts.diversity import DIVERSITY_STATISTICS, DIVERSITY_SUMMARY
from recap_assets.artefacts.draws import uid_hashes
from recap_assets.diversity.lexicon import Lexicon
from recap_assets.diversity.statistics import partition_statistics, rarefaction, summarise
from recap_assets.specs.diversity import Diversity

NOUNS = Lexicon("test", frozenset({"dog", "cat", "house", "tree"}))
VOCABULARY = [
    *("a", "the", "red", "runs", "on", "near", "dog", "dogs", "cat", "house", "houses", "tree"),
    *("IMG_12.jpg", "2004"),
]


def captions(n, seed=0, *, longest=7):
    r = np.random.default_rng(seed)
    texts = [" ".join(r.choice(VOCABULARY, r.integers(0, longest + 1))) for _ in range(n)]
    uids = [hashlib.blake2b(f"{i}".encode(), digest_size=16).digest() for i in range(n)]
    return pl.DataFrame({"uid": uids, "text": texts}, schema={"uid": pl.Binary, "text": pl.String})


def statistics_of(sources, diversity, n_parts=1, seed=None):
    rows = []
    for source, frame in sources.items():
        mixed = frame if seed is None else frame.sample(fraction=1.0, shuffle=True, seed=seed)
        for i in range(n_parts):
            row = partition_statistics(mixed.gather_every(n_parts, i), diversity, NOUNS)
            rows.append(row.with_columns(source=pl.lit(source), partition=pl.lit(f"{i}")))
    return pl.concat(rows)


def summary_of(sources, diversity, n_parts=1, seed=None):
    found = statistics_of(sources, diversity, n_parts, seed)
    return summarise(found.reverse() if seed else found, diversity, NOUNS)


def row_of(summary, source):
    return summary.row(by_predicate=pl.col("source") == source, named=True)


@given(n_parts=st.integers(1, 9), seed=st.integers(1, 99), sample=st.sampled_from([1, 30, 500]))
@settings(max_examples=15)
def test_neither_order_nor_partitions_change_a_summary(n_parts, seed, sample):
    # The sketches' estimates included: 400 captions still have few distinct items.
    sources = {"raw": captions(120), "blip2": captions(90, seed=1, longest=4)}
    diversity = Diversity(sample=sample)
    assert summary_of(sources, diversity, n_parts, seed).equals(summary_of(sources, diversity))


@pytest.mark.parametrize("n_parts", [2, 5])
def test_partitions_change_no_estimate_of_many_items(n_parts):
    texts = [f"{i} {i * 7} {i * 13} x{i}" for i in range(20_000)]
    uids = [i.to_bytes(16) for i in range(len(texts))]
    sources = {"raw": pl.DataFrame({"uid": uids, "text": texts})}
    one = row_of(summary_of(sources, Diversity()), "raw")
    other = row_of(summary_of(sources, Diversity(), n_parts), "raw")
    assert one == other
    assert one["pool_unique_trigrams"] == pytest.approx(40_000, rel=0.03)
    distinct = len({word for text in texts for word in text.split()})
    assert one["pool_unique_words"] == pytest.approx(distinct, rel=0.03)


def test_equal_content_gives_equal_bytes():
    frame = captions(200)
    one = partition_statistics(frame, Diversity(), NOUNS)
    assert partition_statistics(frame.reverse(), Diversity(), NOUNS).equals(one)


def test_counts_are_those_of_a_plain_count():
    sources = {"raw": captions(300), "blip2": captions(80, seed=1)}
    diversity = Diversity(sample=500, seed=3)
    summary = summary_of(sources, diversity, n_parts=3)
    assert summary.schema == DIVERSITY_SUMMARY.schema
    for source, frame in sources.items():
        keys = uid_hashes(3, "diversity", frame["uid"]).view(np.int64)
        sample = [frame["text"][int(i)] for i in np.argsort(keys)[:80]]  # the smaller source's
        tokens = [text.lower().replace("img_12.jpg", "img 12 jpg").split() for text in sample]
        every = [word for text in tokens for word in text]
        row = row_of(summary, source)
        assert row["n_captions"] == frame.height
        assert row["sample_size"] == 80
        assert row["unique_words"] == len(set(every))
        assert row["unique_trigrams"] == len({g for text in tokens for g in ngrams(text, 3)})
        nouns = {"dog": "dog", "dogs": "dog", "cat": "cat", "tree": "tree"}
        nouns |= {"house": "house", "houses": "house"}
        assert row["unique_nouns"] == len({nouns[word] for word in every if word in nouns})
        assert row["type_token_ratio"] == len(set(every)) / len(every)
        assert row["duplicate_fraction"] == pytest.approx(1 - len(set(sample)) / 80)
        assert row["tokeniser"] == "words-1"
        assert row["lexicon"].startswith("test@")


def test_statistics_of_a_partition_in_plain_numbers():
    frame = pl.DataFrame(
        {
            "uid": [bytes([i]) * 16 for i in range(6)],
            "text": ["a dog", "IMG_1.jpg", None, "", "word " * 150, "A dog"],
        }
    )
    found = partition_statistics(frame, Diversity(sample=2), NOUNS)
    table = DIVERSITY_STATISTICS.schema
    assert found.schema == {n: t for n, t in table.items() if n not in ("source", "partition")}
    row = found.row(0, named=True)
    assert (row["n_captions"], row["n_words"], row["n_nondescript"]) == (5, 157, 2)
    histogram = row["length_histogram"]
    assert len(histogram) == 101
    assert {n: count for n, count in enumerate(histogram) if count} == {0: 1, 2: 2, 3: 1, 100: 1}
    assert len(row["sample_texts"]) == 2
    assert row["sample_keys"] == sorted(row["sample_keys"])


def test_a_source_without_captions_gets_zeros_and_shortens_no_sample():
    nothing = pl.DataFrame(
        {"uid": [b"\0" * 16], "text": [None]}, schema_overrides={"text": pl.String}
    )
    summary = summary_of({"raw": captions(50), "broken": nothing}, Diversity(sample=40))
    row = row_of(summary, "broken")
    numbers = [
        v for k, v in row.items() if k not in ("source", "tokeniser", "lexicon", "rarefaction")
    ]
    assert set(numbers) == {0}
    assert row["rarefaction"] == []
    assert row_of(summary, "raw")["sample_size"] == 40


def test_nothing_at_all_and_one_caption():
    alone = {"raw": captions(0)}
    assert row_of(summary_of(alone, Diversity()), "raw")["n_captions"] == 0
    one = pl.DataFrame({"uid": [b"\0" * 16], "text": ["a red dog runs"]})
    row = row_of(summary_of({"raw": one}, Diversity()), "raw")
    assert (row["sample_size"], row["unique_trigrams"], row["unique_nouns"]) == (1, 2, 1)
    assert row["rarefaction"] == [{"n": 1, "unique_trigrams": 2.0}]
    assert summarise(statistics_of(alone, Diversity()).clear(), Diversity(), NOUNS).is_empty()


def test_rarefaction_is_the_mean_over_all_samples():
    texts = [{"p", "q"}, {"p"}, {"p", "r", "s"}, set(), {"s"}]
    n_texts_with = np.array([sum(item in text for text in texts) for item in "pqrs"])
    found = {point["n"]: point["unique_trigrams"] for point in rarefaction(n_texts_with, 5)}
    assert list(found) == [1, 2, 5]
    for n, expected in found.items():
        samples = [len(set().union(*chosen)) for chosen in itertools.combinations(texts, n)]
        assert expected == pytest.approx(sum(samples) / math.comb(5, n))
    assert found[5] == 4.0


def test_the_noisier_source_is_the_more_diverse(shared_data):
    with gzip.open(shared_data / "texts" / "capsfusion_triples.jsonl.gz", "rt") as lines:
        triples = [json.loads(line) for line in lines][:3_000]
    uids = [i.to_bytes(16) for i in range(len(triples))]
    sources = {
        source: pl.DataFrame({"uid": uids, "text": [triple[source] for triple in triples]})
        for source in ("raw", "recaption_blip")
    }
    summary = summary_of(sources, Diversity(sample=2_000))
    raw, blip = row_of(summary, "raw"), row_of(summary, "recaption_blip")
    assert raw["sample_size"] == blip["sample_size"] == 2_000
    assert raw["unique_trigrams"] > 1.5 * blip["unique_trigrams"]
    assert raw["unique_words"] > 2 * blip["unique_words"]
