"""Diversity of mixes that are not built yet."""

import polars as pl

from recap_assets.graph.project import Setting
from recap_assets.mixes.assets import candidates_of, score_view, sets_of
from recap_assets.mixes.cutoffs import realise
from recap_assets.mixes.diversity import trigrams_counted
from recap_assets.mixes.selection import select

PARTITIONS_TRIED = 4


def unique_trigrams_of_trial(setting: Setting) -> pl.DataFrame:
    """`unique_trigrams_of_mixes` before anything is built, on a few partitions of the pool."""
    keys = list(setting.partitions)
    chosen = keys[:: max(1, len(keys) // PARTITIONS_TRIED)][:PARTITIONS_TRIED]
    return trigrams_counted(
        setting, {name: _tried(setting, name, chosen) for name in setting.experiment.mixes}
    )


def _tried(setting: Setting, name: str, partitions: list[str]) -> pl.DataFrame:
    mix = setting.experiment.mixes[name]
    scorer = setting.experiment.scorer_of(mix)
    cutoffs = realise(mix, scorer, lambda source: score_view(setting, scorer, source))
    parts = [
        select(mix, cutoffs, candidates_of(setting, mix, key), sets_of(setting, mix, key))
        for key in partitions
    ]
    return pl.concat(parts).select("uid", "source", "text")
