"""Which samples are alike, by what they are compared by: found in parts, a few bytes a sample.

First all keys are looked through for those that any other is like. Then the samples that have one
of these are read with rank and uid: so rows are held of duplicates alone.
"""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts import UInt64s
from recap_assets.sets.hashed_words import first_bytes
from recap_assets.sets.kinds.unique.embeddings import alike_embeddings
from recap_assets.sets.kinds.unique.groups import Groups
from recap_assets.sets.kinds.unique.hashes import near_pairs
from recap_assets.sets.kinds.unique.samples import PoolSamples
from recap_assets.sets.kinds.unique.spec import UniqueSpec

GroupOf = Callable[[pl.DataFrame, int], pl.Series]
"""Given a part and the number of samples before it: each one's group; null where it is alone."""

AlikeTexts = Callable[[pl.Series], NDArray[np.int64]]
"""Given uids: pairs of positions among them whose texts are alike."""


def alike_samples(
    samples: PoolSamples, n: int, name: str, spec: UniqueSpec, texts: AlikeTexts
) -> pl.DataFrame:
    """The samples that are alike others: `uid`, `shard`, `rank`, and `group`, equal in each group.

    Some that are alone may be among them.

    Args:
        samples: All samples.
        n: Their number.
        name: The set, for messages.
        spec: The same.
        texts: For texts that are nearly alike.
    """
    if spec.by == "embedding":
        groups = alike_embeddings(samples.keyed, n, name, spec)
        return _members(samples, by_position(groups), keyed=False)
    if spec.by == "perceptual":
        return _members(samples, of_near_hashes(samples, n, spec.bits), keyed=True)
    if spec.by == "text" and spec.jaccard < 1:
        return _members(samples, of_near_texts(samples, texts), keyed=True)
    return _members(samples, of_equal_keys(samples, n), keyed=True)


def _members(samples: PoolSamples, group_of: GroupOf, *, keyed: bool) -> pl.DataFrame:
    found, before = [], 0
    for part in samples.keyed() if keyed else samples.bare():
        rows = part.select("uid", "shard", "rank", group_of(part, before).alias("group"))
        found.append(rows.drop_nulls("group"))
        before += part.height
    return pl.concat(found)


def of_equal_keys(samples: PoolSamples, n: int) -> GroupOf:
    """Samples with the same key are of one group. 8 bytes a sample."""
    numbers = _sorted_numbers(samples, n)
    repeated = _distinct(numbers[1:][numbers[1:] == numbers[:-1]])

    def group_of(part: pl.DataFrame, _before: int) -> pl.Series:
        # Of those whose first bytes are another's, whole keys say who is alike.
        is_there = _places(part["key"], repeated) >= 0
        return part.select(pl.when(pl.lit(pl.Series(is_there))).then("key")).to_series()

    return group_of


def of_near_hashes(samples: PoolSamples, n: int, bits: int) -> GroupOf:
    """Samples whose hashes differ in at most `bits` bits are. 22 bytes a sample at the most."""
    numbers = _sorted_numbers(samples, n)
    repeated, distinct = numbers[1:][numbers[1:] == numbers[:-1]], _distinct(numbers)
    del numbers
    groups = Groups(len(distinct))
    for pairs in near_pairs(distinct, bits):
        groups.join(pairs)
    keys = np.union1d(distinct[groups.is_joined], repeated)
    numbered = groups.roots(np.searchsorted(distinct, keys)).astype(np.int64)
    return lambda part, _before: _numbered(_places(part["key"], keys), numbered)


def of_near_texts(samples: PoolSamples, alike: AlikeTexts) -> GroupOf:
    """Samples whose texts are alike are; one stands for all with its words: the first by uid."""
    rows = pl.concat(part.select("uid", "key") for part in samples.keyed()).sort("uid")
    first = rows.unique("key", keep="first", maintain_order=True)
    groups = Groups(first.height)
    groups.join(alike(first["uid"]))
    keys = first["key"].to_numpy().view(np.uint64)
    order = np.argsort(keys)
    numbered = groups.roots(order).astype(np.int64)
    return lambda part, _before: _numbered(_places(part["key"], keys[order]), numbered)


def by_position(groups: Groups) -> GroupOf:
    """The groups of samples by their positions among all."""

    def group_of(part: pl.DataFrame, before: int) -> pl.Series:
        places = np.arange(before, before + part.height)
        joined = groups.is_joined[places]
        return _numbered(np.where(joined, np.arange(part.height), -1), groups.roots(places))

    return group_of


def _numbered(places: NDArray[np.int64], numbers: NDArray[np.integer]) -> pl.Series:
    """The numbers at some places; null for a negative one."""
    found = np.append(numbers, -1)[places].astype(np.int64)
    group = pl.col("group")
    return pl.DataFrame({"group": found}).select(pl.when(group >= 0).then(group)).to_series()


def _places(keys: pl.Series, among: UInt64s) -> NDArray[np.int64]:
    """Where the number of each key is among ascending ones; -1 where it is not."""
    own = _as_numbers(keys)
    if not len(among):
        return np.full(len(own), -1)
    places = np.minimum(np.searchsorted(among, own), len(among) - 1)
    return np.where(among[places] == own, places, -1)


def _as_numbers(keys: pl.Series) -> UInt64s:
    """Keys as they are, where they are numbers; else their first bytes."""
    if keys.dtype == pl.Binary:
        keys = keys.to_frame("key").select(first_bytes(pl.col("key"))).to_series()
    return keys.to_numpy().view(np.uint64)


def _sorted_numbers(samples: PoolSamples, n: int) -> UInt64s:
    numbers, filled = np.empty(n, np.uint64), 0
    for part in samples.keyed():
        numbers[filled : filled + part.height] = _as_numbers(part["key"])
        filled += part.height
    numbers.sort()
    return numbers


def _distinct(numbers: UInt64s) -> UInt64s:
    """Ascending numbers, each once."""
    return numbers[np.append(True, numbers[1:] != numbers[:-1])[: len(numbers)]]
