"""Diversity of a caption source: mergeable statistics per partition, one summary over the pool.

Counts of distinct things grow with the number of captions, so sources are compared on samples of
one size, as arXiv 2307.10350 does. The sample is the captions with the smallest hash of (seed,
uid): the smallest of all partitions are among the smallest of each, so it does not depend on
partitions.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from recap_assets.artefacts import DIVERSITY_STATISTICS, DIVERSITY_SUMMARY, uid_hashes
from recap_assets.diversity.lexicon import Lexicon, nouns_among
from recap_assets.diversity.ngrams import distinct_trigram_hashes, trigram_keys, trigram_owners
from recap_assets.diversity.sketches import estimate_of_union, sketch_of
from recap_assets.diversity.words import TOKENISER, EncodedTexts, encode, nondescript
from recap_assets.specs.diversity import Diversity

LONGEST = 100
"""The last bin of the length histogram: captions of this many words or more."""

_RAREFACTION_POINTS = 8
_STATISTICS_SCHEMA = pl.Schema(
    {n: t for n, t in DIVERSITY_STATISTICS.schema.items() if n not in ("source", "partition")}
)


def partition_statistics(
    captions: pl.DataFrame, diversity: Diversity, nouns: Lexicon
) -> pl.DataFrame:
    """Statistics of one source's captions in one partition, in any order of rows.

    Args:
        captions: `uid` and `text`, one row an image; null texts do not count.
        diversity: Sample size and seed.
        nouns: The lexicon.

    Returns:
        One row of the table `diversity_statistics`, without `source` and `partition`.
    """
    texts = captions.select("uid", "text").drop_nulls("text")
    encoded = encode(texts["text"])
    sample = _smallest(
        pl.DataFrame(
            {
                "key": uid_hashes(diversity.seed, "diversity", texts["uid"]).view(np.int64),
                "text": texts["text"],
            }
        ),
        diversity.sample,
    )
    vocabulary = encoded.vocabulary.sort().to_list()
    row: dict[str, object] = {
        "n_captions": texts.height,
        "n_words": len(encoded.ids),
        "n_nondescript": texts.select(nondescript(pl.col("text")).sum()).item(),
        "length_histogram": _length_histogram(encoded.lengths),
        "words_sketch": sketch_of(vocabulary),
        "trigrams_sketch": sketch_of(distinct_trigram_hashes(encoded).tolist()),
        "nouns_sketch": sketch_of(sorted(nouns_among(vocabulary, nouns))),
        "captions_sketch": sketch_of(texts["text"].unique().sort().to_list()),
        "sample_texts": sample["text"].to_list(),
        "sample_keys": sample["key"].to_list(),
    }
    return pl.DataFrame([row], schema=_STATISTICS_SCHEMA)


def summarise(statistics: pl.DataFrame, diversity: Diversity, nouns: Lexicon) -> pl.DataFrame:
    """Merge the statistics of all partitions and compare the sources.

    Args:
        statistics: Rows of the table `diversity_statistics`, in any order; of every source that
            is to be compared.
        diversity: As the statistics were made with.
        nouns: The lexicon.

    Returns:
        The table `diversity_summary`, a row a source. The sample has `diversity.sample` captions,
        or the number of the smallest source that has any; a source without captions gets zeros.
    """
    sizes = statistics.group_by("source").agg(pl.col("n_captions").sum())
    smallest = sizes.filter(pl.col("n_captions") > 0)["n_captions"].min()
    size = min(diversity.sample, int(smallest)) if isinstance(smallest, int) else 0
    rows = [
        {
            "source": source,
            "lexicon": nouns.label,
            "tokeniser": TOKENISER,
            **_over_pool(statistics.filter(pl.col("source") == source)),
            **_over_sample(statistics.filter(pl.col("source") == source), size, nouns),
        }
        for source in sizes["source"].sort()
    ]
    return pl.DataFrame(rows, schema=DIVERSITY_SUMMARY.schema)


def rarefaction(n_texts_with: npt.NDArray[np.int64], n_texts: int) -> list[dict[str, float]]:
    """Expected distinct items in smaller random samples, exact.

    An item that occurs in f of m texts is missed by n of them with probability
    C(m - f, n) / C(m, n) (Hurlbert 1971).

    Args:
        n_texts_with: For each item, the texts that hold it.
        n_texts: Texts, m.

    Returns:
        `n` and `unique_trigrams` for up to 8 sizes n, halved from m downwards, ascending; the
        last is m itself with the full count.
    """
    frequencies, n_items = np.unique(n_texts_with, return_counts=True)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n_texts + 1)))])
    points: list[dict[str, float]] = []
    for n in sorted({n_texts >> i for i in range(_RAREFACTION_POINTS)} - {0}):
        can_miss = frequencies[frequencies <= n_texts - n]
        log_missed = (
            log_factorial[n_texts - can_miss]
            - log_factorial[n_texts - can_miss - n]
            - log_factorial[n_texts]
            + log_factorial[n_texts - n]
        )
        missed = float((n_items[: len(can_miss)] * np.exp(log_missed)).sum())
        points.append({"n": n, "unique_trigrams": float(len(n_texts_with)) - missed})
    return points


def _over_pool(rows: pl.DataFrame) -> dict[str, object]:
    n_captions = int(rows["n_captions"].sum())
    divisor = max(n_captions, 1)
    return {
        "n_captions": n_captions,
        "words_per_caption": int(rows["n_words"].sum()) / divisor,
        "nondescript_fraction": int(rows["n_nondescript"].sum()) / divisor,
        "pool_unique_words": estimate_of_union(rows["words_sketch"]),
        "pool_unique_trigrams": estimate_of_union(rows["trigrams_sketch"]),
        "pool_unique_nouns": estimate_of_union(rows["nouns_sketch"]),
    }


def _over_sample(rows: pl.DataFrame, size: int, nouns: Lexicon) -> dict[str, object]:
    pairs = rows.select(key="sample_keys", text="sample_texts").explode("key", "text")
    texts = _smallest(pairs.drop_nulls(), size)["text"]
    encoded = encode(texts)
    n_texts_with = _texts_with_each_trigram(encoded)
    return {
        "sample_size": len(texts),
        "duplicate_fraction": 1.0 - texts.n_unique() / len(texts) if len(texts) else 0.0,
        "unique_words": len(encoded.vocabulary),
        "unique_trigrams": len(n_texts_with),
        "unique_nouns": len(nouns_among(encoded.vocabulary.to_list(), nouns)),
        "type_token_ratio": len(encoded.vocabulary) / max(len(encoded.ids), 1),
        "rarefaction": rarefaction(n_texts_with, len(texts)),
    }


def _texts_with_each_trigram(encoded: EncodedTexts) -> npt.NDArray[np.int64]:
    occurrences = pl.DataFrame(
        {"trigram": trigram_keys(encoded), "text": trigram_owners(encoded.lengths)}
    )
    counts = occurrences.unique().group_by("trigram").len()
    return counts["len"].to_numpy().astype(np.int64)


def _smallest(pairs: pl.DataFrame, size: int) -> pl.DataFrame:
    # The text decides between equal keys, so that no order of rows does.
    return pairs.sort("key", "text").head(size)


def _length_histogram(lengths: npt.NDArray[np.int64]) -> list[int]:
    return np.bincount(np.minimum(lengths, LONGEST), minlength=LONGEST + 1).tolist()
