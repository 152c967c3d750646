"""Diversity of each caption source."""

import polars as pl

from recap_assets.artefacts.table import PARTITION, SOURCE, Column, Table

DIVERSITY_STATISTICS = Table(
    "diversity_statistics",
    "Mergeable statistics of one source's captions in one partition: of each image the "
    "first usable one.",
    {
        "source": SOURCE,
        "partition": PARTITION,
        "n_captions": Column(pl.Int64, "Captions with text."),
        "n_words": Column(pl.Int64, "Words in all."),
        "n_nondescript": Column(pl.Int64, "Captions such as file names, numbers and dates."),
        "length_histogram": Column(
            pl.List(pl.Int64), "Captions by words: 0, 1, ... 99, 100 or more."
        ),
        "words_sketch": Column(pl.Binary, "HyperLogLog of distinct words."),
        "trigrams_sketch": Column(pl.Binary, "HyperLogLog of distinct word trigrams."),
        "nouns_sketch": Column(pl.Binary, "HyperLogLog of distinct nouns."),
        "captions_sketch": Column(pl.Binary, "HyperLogLog of distinct captions."),
        "sample_texts": Column(
            pl.List(pl.String), "The partition's share of the equal-sized sample, by hash of uid."
        ),
        "sample_keys": Column(
            pl.List(pl.Int64),
            "Hash of (seed, uid) of each sample text as signed 64 bits, ascending.",
        ),
    },
    slices=("source", "partition"),
    order=("n_captions",),
)

DIVERSITY_SUMMARY = Table(
    "diversity_summary",
    "Diversity of each source over the pool, exact on the equal-sized sample.",
    {
        "source": SOURCE,
        "n_captions": Column(pl.Int64, "Captions with text in the pool."),
        "words_per_caption": Column(pl.Float64, "Mean over the pool."),
        "nondescript_fraction": Column(pl.Float64, "File names, numbers, dates; over the pool."),
        "duplicate_fraction": Column(pl.Float64, "1 - distinct / all, over the sample."),
        "sample_size": Column(pl.Int64, "Captions of the sample; the same for every source."),
        "tokeniser": Column(pl.String, "Name and version of the word tokeniser."),
        "lexicon": Column(
            pl.String, "Name and content hash of the noun lexicon, its language and licence."
        ),
        "unique_words": Column(pl.Int64, "Distinct words in the sample, exact."),
        "unique_trigrams": Column(pl.Int64, "Distinct word trigrams in the sample, exact."),
        "unique_nouns": Column(pl.Int64, "Distinct nouns in the sample, exact."),
        "type_token_ratio": Column(pl.Float64, "unique_words / words in the sample."),
        "pool_unique_words": Column(pl.Float64, "HyperLogLog estimate over the pool."),
        "pool_unique_trigrams": Column(pl.Float64, "HyperLogLog estimate over the pool."),
        "pool_unique_nouns": Column(pl.Float64, "HyperLogLog estimate over the pool."),
        "rarefaction": Column(
            pl.List(pl.Struct({"n": pl.Int64, "unique_trigrams": pl.Float64})),
            "Expected distinct trigrams in samples of n captions.",
        ),
    },
    slices=(),
    order=("source",),
)
