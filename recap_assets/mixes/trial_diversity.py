"""Diversity of mixes that are not built yet."""

import polars as pl

from recap_assets.graph.project import Project
from recap_assets.mixes.assets import candidates_of, sets_of
from recap_assets.mixes.diversity import trigrams_counted
from recap_assets.mixes.selection import select
from recap_assets.mixes.stored_trial import Cutoffs

PARTITIONS_TRIED = 4


def unique_trigrams_of_trial(project: Project, cutoffs: Cutoffs) -> pl.DataFrame:
    """`unique_trigrams_of_mixes` before anything is built, on a few partitions of the pool."""
    keys = list(project.partitions)
    chosen = keys[:: max(1, len(keys) // PARTITIONS_TRIED)][:PARTITIONS_TRIED]
    return trigrams_counted(
        project,
        {name: _tried(project, name, found, chosen) for name, found in cutoffs.items()},
    )


def _tried(
    project: Project, name: str, cutoffs: pl.DataFrame, partitions: list[str]
) -> pl.DataFrame:
    mix = project.experiment.mixes[name]
    parts = [
        select(mix, cutoffs, candidates_of(project, mix, key), sets_of(project, mix, key))
        for key in partitions
    ]
    return pl.concat(parts).select("uid", "source", "text")
