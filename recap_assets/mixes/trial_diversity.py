"""Diversity of mixes that are not built yet."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.graph.project import Project
from recap_assets.mixes.assets import candidates_of_all, sets_of
from recap_assets.mixes.diversity import drawn_texts, merged_draws, trigrams_counted
from recap_assets.mixes.selection import select
from recap_assets.mixes.stored_trial import Cutoffs, mixes_by_scorer


class TriedTexts(NamedTuple):
    """The candidates of one partition with their texts, by the scorer of the mixes."""

    partition: str
    candidates: Mapping[str, Mapping[str, pl.DataFrame]]


Texts = Iterable[TriedTexts]

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


def unique_trigrams_of_trial(
    project: Project, cutoffs: Cutoffs, texts_by: Texts | None = None
) -> pl.DataFrame:
    """`unique_trigrams_of_mixes` before anything is built, on `partitions_tried` of the pool.

    On all of them it is the report's number.

    Args:
        project: The experiment and its workspace.
        cutoffs: What `realised` gives.
        texts_by: `texts_tried`, where it is known already.
    """
    drawn: dict[str, list[pl.DataFrame]] = {name: [] for name in cutoffs}
    for of_partition in texts_tried(project) if texts_by is None else texts_by:
        for name, texts in _drawn(project, cutoffs, of_partition):
            drawn[name].append(texts)
    diversity = project.experiment.diversity
    return trigrams_counted(
        {name: merged_draws(parts, diversity)["text"] for name, parts in drawn.items()}
    )


def texts_tried(project: Project) -> Texts:
    """What decides the mixes in each of `partitions_tried`, with texts, read one by one."""
    for partition in partitions_tried(project):
        yield TriedTexts(
            partition,
            {
                scorer: candidates_of_all(project, scorer, mixes.values(), partition)
                for scorer, mixes in mixes_by_scorer(project.experiment).items()
            },
        )


def _drawn(
    project: Project, cutoffs: Cutoffs, texts: TriedTexts
) -> Iterator[tuple[str, pl.DataFrame]]:
    """A sample of what each mix takes of a partition, which is read once for all mixes."""
    for scorer, mixes in mixes_by_scorer(project.experiment).items():
        candidates = texts.candidates[scorer]
        for name, mix in mixes.items():
            sets = sets_of(project, mix, texts.partition)
            pairs = select(mix, cutoffs[name], candidates, sets)
            yield name, drawn_texts(pairs, project.experiment.diversity)
