"""The samples of tar shards: one for each image, or in an order that is drawn."""

import numpy as np
import polars as pl

from recap_assets.artefacts.draws import uid_hashes
from recap_assets.exports.samples import PAIR

_OF_PAIR = ("text", "source", "candidate", "score", "rule")


def one_an_image(rows: pl.DataFrame) -> pl.DataFrame:
    """One sample an image: its text is that of the heaviest pair, of equal ones the first."""
    first = pl.col("weight").arg_max()
    others = [c for c in rows.columns if c not in ("uid", "k", "weight", *_OF_PAIR)]
    return (
        rows.group_by("uid", maintain_order=True)
        .agg(
            pl.lit(0, pl.Int32).first().alias("k"),
            *(pl.col(name).get(first) for name in _OF_PAIR),
            pl.struct(*PAIR.to_schema()).alias("pairs"),
            pl.col("weight").sum(),
            *(pl.col(name).first() for name in others),
        )
        .select(*rows.columns, "pairs")
    )


def shuffled(samples: pl.DataFrame, seed: int) -> pl.DataFrame:
    """In an order that is a function of seed, uid and the number among those of the image."""
    drawn = uid_hashes(seed, "export", samples["uid"])
    # The k-th sample of an image gets a place of its own, apart from the others.
    drawn ^= np.uint64(0x9E3779B97F4A7C15) * samples["k"].to_numpy().astype(np.uint64)
    place = pl.Series("place", drawn)
    return samples.with_columns(place).sort("place", "uid", "k").drop("place")
