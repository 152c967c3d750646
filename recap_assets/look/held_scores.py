"""What decides a mix, of the whole pool in memory, so that a cut-off of it can be dragged.

A partition's columns take some milliseconds to read, whatever their size, and a pool has hundreds:
for each place of a line they would take seconds. The counts are still those of `mixes.trial`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.histograms import Scores
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_SCORES, SCORE_HISTOGRAMS
from recap_assets.artefacts.uids import has_repeats
from recap_assets.graph.project import Project
from recap_assets.look.gallery import Gallery, with_mixes
from recap_assets.look.groups import n_samples, partition_groups
from recap_assets.mixes.assets import sets_of
from recap_assets.mixes.images import Images
from recap_assets.mixes.score_view import ScoreView
from recap_assets.mixes.selection import decide
from recap_assets.mixes.stored_scores import score_view
from recap_assets.mixes.stored_trial import Cutoffs, counted, counted_at_once, realised, trial
from recap_assets.mixes.trial import Part, try_mixes
from recap_assets.mixes.trial_diversity import (
    TriedTexts,
    partitions_tried,
    texts_tried,
    unique_trigrams_of_trial,
)
from recap_assets.sets import assets as sets
from recap_assets.specs.mixes import Mix, columns_read, sets_read

HELD_SCORES = 8_000_000
"""Of all columns that a mix reads; of a pool with more they are read each time."""

HELD_TEXTS = 200_000
"""Samples of the partitions whose trigrams are counted; of more, texts are read each time."""

TABLES = (CLIP_SCORES, SCORE_HISTOGRAMS, IMAGE_SCORES, RAW_POOL, SYNTHETIC_CAPTIONS)
"""What is held depends on these; members of sets are read each time."""


@dataclass(frozen=True)
class HeldScores:
    """What decides one mix, whatever number its cut-offs have.

    Attributes:
        images: All images side by side, with their `partition`; None where they are read from the
            tables each time.
        views: The scores of columns, by scorer and column, as they were asked for.
        texts: Of the partitions whose trigrams are counted; None where they are read each time.
    """

    images: tuple[Images, ...] | None
    texts: tuple[TriedTexts, ...] | None
    sorted_scores: Mapping[tuple[str, str], Scores] = field(default_factory=dict)
    views: dict[tuple[str, str], ScoreView] = field(default_factory=dict)

    def view(self, project: Project, scorer: str, column: str) -> ScoreView:
        """The scores of a column: an object that remembers its cut-offs."""
        key = scorer, column
        if key not in self.views:
            stored = score_view(project, scorer, column)
            if key in self.sorted_scores:
                scores = self.sorted_scores[key]
                stored = ScoreView(
                    stored.read, stored.stored, lambda *ends: _between(scores, *ends)
                )
            self.views[key] = stored
        return self.views[key]

    def realised(self, project: Project) -> Cutoffs:
        """The cut-offs of a project whose mixes are this one with other numbers."""
        return realised(project, self.view)

    def trial(self, project: Project) -> pl.DataFrame:
        """What `recap mix try` counts of them, with trigrams."""
        cutoffs = self.realised(project)
        trigrams = unique_trigrams_of_trial(project, cutoffs, self.texts)
        if self.images is None:
            return trial(project, cutoffs).join(trigrams, on="mix")
        mix = next(iter(project.experiment.mixes.values()))
        scorer, named = project.experiment.scorer_of(mix), _members(project, mix)
        parts = [Part({scorer: images}, named) for images in self.images]
        return try_mixes(project.experiment, cutoffs, parts).join(trigrams, on="mix")

    def decided(self, project: Project) -> Iterator[pl.DataFrame]:
        """The images as each mix decides them, with `accepted.MIX`, and their scores."""
        cutoffs = self.realised(project)
        for images, named in self._parts(project):
            taken = {
                f"accepted.{name}": decide(mix, cutoffs[name], images, named).images["accepted"]
                for name, mix in project.experiment.mixes.items()
            }
            yield images.frame.with_columns(**taken)

    def _parts(self, project: Project) -> Iterator[tuple[Images, Mapping[str, pl.Series]]]:
        """Images with their partition, and the members of sets."""
        mixes = list(project.experiment.mixes.values())
        mix, scorer = mixes[0], project.experiment.scorer_of(mixes[0])
        if self.images is not None:
            named = _members(project, mix)
            yield from ((images, named) for images in self.images)
            return
        for partition in project.partitions:
            images = Images.for_mixes(counted(project, scorer, mixes, partition), mixes)
            yield _placed(images, partition), sets_of(project, mix, partition)


def held_scores(gallery: Gallery, mix: str) -> HeldScores:
    """What decides a mix of the experiment; of one mix at a time."""

    def read() -> HeldScores:
        return _held(with_mixes(gallery.project, {mix: gallery.project.experiment.mixes[mix]}))

    return gallery.kept.of(TABLES, ("held scores",), read, of=mix)


def _held(project: Project) -> HeldScores:
    project = project.fixed()
    (mix,) = project.experiment.mixes.values()
    texts = tuple(texts_tried(project)) if _has_few_texts(project) else None
    n_columns = len(list(columns_read(mix)))
    if mix.reads_texts or n_columns * n_samples(project) > HELD_SCORES:
        return HeldScores(None, texts)
    images, scores = _read(project, mix)
    # Of two samples of one uid a computed set may hold one, which its partition says.
    if sets_read(mix) and has_repeats(pl.concat([one.frame["uid"] for one in images])):
        return HeldScores(None, texts, scores)
    return HeldScores(tuple(images), texts, scores)


def _read(project: Project, mix: Mix) -> tuple[list[Images], dict[tuple[str, str], Scores]]:
    """The images of each partition, and the scores of columns without further candidates."""
    scorer = project.experiment.scorer_of(mix)
    images, scores = list[Images](), dict[str, list[Scores | None]]()
    for keys in partition_groups(project):
        columns = counted_at_once(project, scorer, mix, keys)
        for name, frame in columns.items():
            scores.setdefault(name, []).append(_single(frame))
        images += _joined(_beside(columns, mix, keys))
    whole = {
        (scorer, name): np.sort(np.concatenate([one for one in parts if one is not None]))
        for name, parts in scores.items()
        if all(one is not None for one in parts)
    }
    return images, whole


def _single(frame: pl.DataFrame) -> Scores | None:
    """The scores, where no image has several candidates: each is its best."""
    if "candidate" in frame.columns and (frame["candidate"] != 0).any():
        return None
    return frame["score"].drop_nulls().to_numpy()


def _between(scores: Scores, low: float, high: float) -> list[Scores]:
    first = np.searchsorted(scores, low, "left")
    return [scores[first : np.searchsorted(scores, high, "right")]]


def _beside(
    columns: Mapping[str, pl.DataFrame], mix: Mix, partitions: Sequence[str]
) -> Iterator[Images]:
    parts = {
        name: frame.partition_by("partition", as_dict=True, include_key=False)
        for name, frame in columns.items()
    }
    for key in partitions:
        of_key = {
            name: parts[name].get((key,), frame.clear().drop("partition"))
            for name, frame in columns.items()
        }
        yield _placed(Images.for_mixes(of_key, [mix]), key)


def _placed(images: Images, partition: str) -> Images:
    return replace(images, frame=images.frame.with_columns(partition=pl.lit(partition)))


def _joined(images: Iterable[Images]) -> Iterator[Images]:
    """Those that follow each other with the same columns as one: rows are decided by themselves."""
    for _, alike in groupby(images, lambda one: (one.frame.schema, one.has_texts, one.depths)):
        group = list(alike)
        yield replace(group[0], frame=pl.concat([one.frame for one in group]).rechunk())


def _members(project: Project, mix: Mix) -> Mapping[str, pl.Series]:
    return {name: sets.members_of(project, name) for name in sets_read(mix)}


def _has_few_texts(project: Project) -> bool:
    among = pl.col("partition").is_in(list(partitions_tried(project)))
    rows = project.workspace.tables.scan(RAW_POOL).filter(among)
    return int(rows.select(pl.len()).collect().item()) <= HELD_TEXTS
