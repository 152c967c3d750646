"""What of a partition's samples is too frequent, or too rare."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts import RAW_POOL, TEXT_FREQUENCIES, is_usable
from recap_assets.sets.facts import Samples
from recap_assets.sets.hashed_words import HashedWords, as_signed, hashed_words, text_hashes
from recap_assets.sets.kinds.frequency.counting import (
    CUT,
    IMAGE,
    LENGTHS,
    NGRAM,
    TEXT,
    image_key,
)


def with_frequencies(known: pl.DataFrame, samples: Samples) -> pl.DataFrame:
    """The facts with `n_ngram_words`, and `n_images`, `n_texts` and `rare` where they are amiss."""
    words = hashed_words(known["text"])
    keys = as_signed(text_hashes(known["text"].fill_null("")))
    facts = known.with_columns(
        n_ngram_words=pl.Series(words.lengths, dtype=pl.Int64),
        text_key=pl.when(pl.col("text").is_not_null()).then(pl.lit(keys)),
    )
    facts = facts.join(_images(samples), on="uid", how="left", maintain_order="left")
    facts = _joined(facts, samples, TEXT, "text_key", "n_images")
    facts = _joined(facts, samples, IMAGE, "image_key", "n_texts")
    return facts.with_columns(rare=_rare(words, samples)).drop("text_key", "image_key")


def _frequencies(samples: Samples, what: str) -> pl.LazyFrame:
    rows = samples.project.workspace.tables.scan(TEXT_FREQUENCIES, set=samples.name)
    return rows.filter(pl.col("what") == what).select("key", "n")


def _images(samples: Samples) -> pl.DataFrame:
    rows = samples.project.workspace.tables.scan(RAW_POOL, partition=samples.partition)
    if samples.uid is not None:
        rows = rows.filter(pl.col("uid") == pl.lit(samples.uid))
    return rows.filter(is_usable()).select("uid", image_key=image_key()).collect()


def _joined(
    facts: pl.DataFrame, samples: Samples, what: str, key: str, called: str
) -> pl.DataFrame:
    found = _frequencies(samples, what).rename({"key": key, "n": called}).collect()
    return facts.join(found, on=key, how="left", maintain_order="left")


def _rare(words: HashedWords, samples: Samples) -> pl.Series:
    """Of each text the first n-gram that is not frequent enough; null where there is none."""
    nothing = pl.Series("rare", [None] * len(words.lengths), dtype=pl.String)
    cut = _frequencies(samples, CUT).collect()["n"]
    if cut.is_empty() or cut[0] <= 1:
        return nothing
    for n in reversed(LENGTHS):
        starts, is_rare = words.starts(n), ~_is_frequent(words.ngrams(n), samples)
        owners, first = np.unique(words.owners(n)[is_rare], return_index=True)
        begins = starts[is_rare][first]
        nothing = nothing.scatter(owners, _spelled(words, begins, n))
    return nothing


def _is_frequent(keys: NDArray[np.uint64], samples: Samples) -> NDArray[np.bool_]:
    asked = as_signed(keys).alias("key").to_frame()
    distinct = asked.unique().lazy()
    found = distinct.join(_frequencies(samples, NGRAM), on="key", how="semi").collect()["key"]
    return asked["key"].is_in(found.implode()).to_numpy()


def _spelled(words: HashedWords, begins: NDArray[np.int64], n: int) -> pl.Series:
    parts = [words.words.gather(begins + i).alias(str(i)) for i in range(n)]
    return pl.DataFrame(parts).select(pl.concat_str(pl.all(), separator=" ")).to_series()
