"""Diversity of mixes that are not built yet."""

from collections.abc import Iterator, Sequence

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.graph.project import Project
from recap_assets.mixes.assets import candidates_of_all, sets_of
from recap_assets.mixes.diversity import drawn_texts, merged_draws, trigrams_counted
from recap_assets.mixes.selection import select
from recap_assets.mixes.stored_trial import Cutoffs, mixes_by_scorer

PARTITIONS_TRIED = 4
"""Of a pool that is larger than this:"""
SAMPLES_TRIED = 50_000


def partitions_tried(project: Project) -> Sequence[str]:
    """The partitions whose texts are counted: all where the pool is small, else some of them."""
    keys = list(project.partitions)
    n_samples = project.workspace.tables.scan(RAW_POOL).select(pl.len()).collect().item()
    if len(keys) <= PARTITIONS_TRIED or n_samples <= SAMPLES_TRIED:
        return keys
    return keys[:: max(1, len(keys) // PARTITIONS_TRIED)][:PARTITIONS_TRIED]


def unique_trigrams_of_trial(project: Project, cutoffs: Cutoffs) -> pl.DataFrame:
    """`unique_trigrams_of_mixes` before anything is built, on `partitions_tried` of the pool.

    On all of them it is the report's number.
    """
    drawn: dict[str, list[pl.DataFrame]] = {name: [] for name in cutoffs}
    for key in partitions_tried(project):
        for name, texts in _drawn(project, cutoffs, key):
            drawn[name].append(texts)
    diversity = project.experiment.diversity
    return trigrams_counted(
        {name: merged_draws(parts, diversity)["text"] for name, parts in drawn.items()}
    )


def _drawn(
    project: Project, cutoffs: Cutoffs, partition: str
) -> Iterator[tuple[str, pl.DataFrame]]:
    """A sample of what each mix takes of a partition, which is read once for all mixes."""
    for scorer, mixes in mixes_by_scorer(project.experiment).items():
        candidates = candidates_of_all(project, scorer, mixes.values(), partition)
        for name, mix in mixes.items():
            pairs = select(mix, cutoffs[name], candidates, sets_of(project, mix, partition))
            yield name, drawn_texts(pairs, project.experiment.diversity)
