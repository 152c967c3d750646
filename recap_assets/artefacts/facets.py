"""Facets: the parts of a table's rows that have versions of their own, beside the whole slice's.

Whoever reads one part only says so in its edge, and stays up to date while that part stays, however
the rest of the rows changes. A facet holds all that a reader's rows can depend on, shard and uid
included where readers copy them. Rows that are not usable are in none: readers pass over them.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import polars as pl

from recap_assets.artefacts.table import is_usable

Facet: TypeAlias = Callable[[pl.DataFrame], pl.DataFrame]
"""From rows of a table to what is read of them; the order of its rows does not count."""

IMAGES = "images"
SAMPLES = "samples"
SIZES = "sizes"
HASHES = "perceptual_hashes"
TEXTS = "texts"
FIRST_TEXTS = "first_texts"


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


POOL_FACETS: Mapping[str, Facet] = {
    IMAGES: _images,
    TEXTS: _columns("shard", "uid", "text"),
    SAMPLES: _columns("shard", "uid"),
    SIZES: _sizes,
    HASHES: _columns("uid", "perceptual_hash"),
}
"""Of `raw_pool`: images by their bytes; texts; which samples there are; pixels; how images look."""

CAPTION_FACETS: Mapping[str, Facet] = {
    TEXTS: _columns("shard", "uid", "candidate", "text"),
    FIRST_TEXTS: _first_texts,
}
"""Of `synthetic_captions`: all usable texts; of each image the text of the first usable one."""

LEFT_OUT_FACETS: Mapping[str, Facet] = {SAMPLES: lambda rows: rows.select("shard", "uid")}
"""Of `captions_left_out`: which images they are."""
