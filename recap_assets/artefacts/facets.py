"""Facets: the parts of a table's rows that have versions of their own, beside the whole slice's.

Whoever reads one part only says so in its edge, and stays up to date while that part stays, however
the rest of the rows changes. A facet holds all that a reader's rows can depend on, shard and uid
included where readers copy them. Rows that are not usable are in none: readers pass over them.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import polars as pl

from recap_assets.artefacts.table import is_usable
from recap_assets.specs.sources import RAW

Facet: TypeAlias = Callable[[pl.DataFrame], pl.DataFrame]
"""From rows of a table to what is read of them; the order of its rows does not count."""

IMAGES = "images"
SAMPLES = "samples"
SIZES = "sizes"
HASHES = "perceptual_hashes"
TEXTS = "texts"
FIRST_TEXTS = "first_texts"
KEYS = "keys"
FILES = "files"
ASIDE = "rejects"
ASIDE_SAMPLES = "rejected_samples"
SEEN = "pairs_seen"
SEEN_SOURCES = "pairs_seen_with_sources"
SHARES = "pair_counts"
CHOSEN = "texts_chosen"
PAIRS = "set_of_pairs"


def _images(rows: pl.DataFrame) -> pl.DataFrame:
    # Readers compare what they find with the hash, so the place counts only where there is none.
    place = pl.when(pl.col("sha256").is_null())
    places = (place.then(name).alias(name) for name in ("key", "offset", "size"))
    return rows.filter(is_usable()).select("shard", "uid", "sha256", *places)


def _sizes(rows: pl.DataFrame) -> pl.DataFrame:
    sides = {side: pl.coalesce(f"original_{side}", side) for side in ("width", "height")}
    return rows.filter(is_usable()).select("uid", **sides)


def _first_texts(rows: pl.DataFrame) -> pl.DataFrame:
    texts = rows.filter(is_usable()).drop_nulls("text")
    return texts.sort("candidate").unique("uid", keep="first").select("uid", "text")


def _columns(*names: str) -> Facet:
    return lambda rows: rows.filter(is_usable()).select(names)


def _files(rows: pl.DataFrame) -> pl.DataFrame:
    # An export has the images in the order of their places, whatever the places are.
    usable = rows.filter(is_usable()).sort("shard", "offset", "key", "uid")
    place = pl.when(pl.col("sha256").is_null())
    places = (place.then(name).alias(name) for name in ("key", "offset"))
    return usable.select("uid", *_OF_FILES, *places).with_row_index("place")


_OF_FILES = (
    "size", "sha256", "image_format", "width", "height", "original_width", "original_height", "url",
)  # fmt: skip


def _aside(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(~is_usable()).group_by("reject_reason").len()


def _aside_samples(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(~is_usable()).select("uid")


def _seen(*more: str) -> Facet:
    def of(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select("uid", "image_hash", "text", "weight", "copies", *more)

    return of


def _shares(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(n=pl.len(), n_raw=(pl.col("source") == RAW).sum())


def _chosen(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("uid", "source", "candidate", "text", "score", "rule", "copies")


SUM_MODULUS = 1 << 256


def _pairs(rows: pl.DataFrame) -> pl.DataFrame:
    # Rows from before there were sums say which pairs each partition has, and no more.
    if (rows["sum"] == "").any():
        return rows.select("pairs")
    total = sum(int(one, 16) for one in rows["sum"]) % SUM_MODULUS
    return pl.DataFrame({"n": [int(rows["n_pairs"].sum())], "sum": [f"{total:064x}"]})


POOL_FACETS: Mapping[str, Facet] = {
    IMAGES: _images,
    TEXTS: _columns("shard", "uid", "text"),
    SAMPLES: _columns("shard", "uid"),
    SIZES: _sizes,
    HASHES: _columns("uid", "perceptual_hash"),
    KEYS: _columns("shard", "uid", "key"),
    FILES: _files,
    ASIDE: _aside,
    ASIDE_SAMPLES: _aside_samples,
}
"""Of `raw_pool`: images by their bytes; texts; which samples there are; pixels; how images look;
what samples are called in their shards; images as files, with what is said of them; how many
were set aside, by reason, and which."""

CAPTION_FACETS: Mapping[str, Facet] = {
    TEXTS: _columns("shard", "uid", "candidate", "text"),
    FIRST_TEXTS: _first_texts,
    ASIDE: _aside,
}
"""Of `synthetic_captions`: all usable texts; of each image the text of the first usable one; how
many were set aside, by reason."""

MIX_FACETS: Mapping[str, Facet] = {
    SEEN: _seen(),
    SEEN_SOURCES: _seen("source"),
    SHARES: _shares,
    CHOSEN: _chosen,
}
"""Of `curated_mixes`: what training sees, with or without the source of each text; how many pairs
there are, and how many of them have their own text; what was chosen, whatever weight it has."""

TRAINING_FACETS: Mapping[str, Facet] = {PAIRS: _pairs}
"""Of `training_pairs`: which pairs there are, in whatever partitions of the pool."""

LEFT_OUT_FACETS: Mapping[str, Facet] = {SAMPLES: lambda rows: rows.select("shard", "uid")}
"""Of `captions_left_out`: which images they are."""
