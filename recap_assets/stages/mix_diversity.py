"""Diversity of whole mixes, on samples of one size."""

import polars as pl

from recap_assets.diversity.ngrams import unique_trigrams
from recap_assets.specs.draws import uid_hashes
from recap_assets.specs.tables import CURATED_MIXES
from recap_assets.stages.setting import Setting


def unique_trigrams_of_mixes(setting: Setting) -> pl.DataFrame:
    """Distinct trigrams of each mix on as many pairs as the smallest one has, at most the sample.

    Returns:
        mix, unique_trigrams.
    """
    names = list(setting.experiment.mixes)
    texts = {name: _sampled(setting, name) for name in names}
    size = min((len(found) for found in texts.values() if len(found)), default=0)
    counts = [unique_trigrams(found[:size]) for found in texts.values()]
    return pl.DataFrame(
        {"mix": names, "unique_trigrams": counts},
        schema={"mix": pl.String, "unique_trigrams": pl.Int64},
    )


def _sampled(setting: Setting, mix: str) -> pl.Series:
    diversity = setting.experiment.diversity
    rows = setting.workspace.tables.scan(CURATED_MIXES, mix=mix).filter(
        pl.col("partition").is_in(list(setting.partitions))
    )
    pairs = rows.select("uid", "source", "text").sort("uid", "source").collect()
    drawn = pl.Series(uid_hashes(diversity.seed, "mix diversity", pairs["uid"]), dtype=pl.UInt64)
    return pairs.with_columns(draw=drawn).bottom_k(diversity.sample, by="draw").sort("draw")["text"]
