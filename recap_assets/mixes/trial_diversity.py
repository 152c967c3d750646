"""Diversity of mixes that are not built yet."""

import polars as pl

from recap_assets.graph.project import Project
from recap_assets.mixes.assets import candidates_of, score_view, sets_of
from recap_assets.mixes.cutoffs import realise
from recap_assets.mixes.diversity import trigrams_counted
from recap_assets.mixes.selection import select

PARTITIONS_TRIED = 4


def unique_trigrams_of_trial(project: Project) -> pl.DataFrame:
    """`unique_trigrams_of_mixes` before anything is built, on a few partitions of the pool."""
    keys = list(project.partitions)
    chosen = keys[:: max(1, len(keys) // PARTITIONS_TRIED)][:PARTITIONS_TRIED]
    return trigrams_counted(
        project, {name: _tried(project, name, chosen) for name in project.experiment.mixes}
    )


def _tried(project: Project, name: str, partitions: list[str]) -> pl.DataFrame:
    mix = project.experiment.mixes[name]
    scorer = project.experiment.scorer_of(mix)
    cutoffs = realise(mix, scorer, lambda source: score_view(project, scorer, source))
    parts = [
        select(mix, cutoffs, candidates_of(project, mix, key), sets_of(project, mix, key))
        for key in partitions
    ]
    return pl.concat(parts).select("uid", "source", "text")
