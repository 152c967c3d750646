"""What every mix would hold, counted from the score tables; nothing is written."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import polars as pl

from recap_assets.artefacts.captions import texts_of
from recap_assets.graph.project import Project
from recap_assets.graph.shardwise import asked_ahead
from recap_assets.mixes.assets import sets_of
from recap_assets.mixes.candidates import with_scores
from recap_assets.mixes.cutoffs import Parts, realise
from recap_assets.mixes.images import Candidates
from recap_assets.mixes.score_view import ScoreView
from recap_assets.mixes.stored_scores import further_scores, score_view, scores_in
from recap_assets.mixes.trial import Part, try_mixes
from recap_assets.sets import assets as sets
from recap_assets.specs.columns import Reads
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.mixes import Mix, columns_read, sets_read

T = TypeVar("T")

Cutoffs = Mapping[str, pl.DataFrame]
"""The realised cut-offs of each mix."""

Views = Callable[[Project, str, str], ScoreView]


def realised(project: Project, views: Views = score_view) -> Cutoffs:
    """The cut-offs of all mixes, each found once.

    Args:
        project: The experiment and its workspace.
        views: What gives the pool's scores by project, scorer and column.

    Raises:
        EmptyPopulationError: A mix wants the best of a column that has no scores.
        CopiesError: A mix wants more copies than its pairs give.
    """
    experiment = project.experiment

    @cache
    def view(scorer: str, column: str) -> ScoreView:
        return views(project, scorer, column)

    found: dict[str, pl.DataFrame] = {}
    for name, mix in experiment.mixes.items():
        scorer = experiment.scorer_of(mix)
        parts = _counted_parts(project, mix)
        found[name] = realise(
            mix, scorer, lambda column, scorer=scorer: view(scorer, column), parts
        )
    return found


def trial(project: Project, cutoffs: Cutoffs | None = None) -> pl.DataFrame:
    """What every mix would hold: `trial.try_mixes` of the pool as its tables are.

    Args:
        project: The experiment and its workspace.
        cutoffs: What `realised` gives, where it is known already.
    """
    experiment = project.experiment
    cutoffs = realised(project) if cutoffs is None else cutoffs
    named = dict.fromkeys(one for mix in experiment.mixes.values() for one in sets_read(mix))
    by_scorer = mixes_by_scorer(experiment)

    def part(partition: str) -> Part:
        candidates = {
            scorer: counted(project, scorer, mixes.values(), partition)
            for scorer, mixes in by_scorer.items()
        }
        members = {name: sets.members_of(project, name, partition) for name in named}
        return Part(candidates, members)

    return try_mixes(experiment, cutoffs, _read_ahead(project, part))


def mixes_by_scorer(experiment: Experiment) -> Mapping[str, Mapping[str, Mix]]:
    """The mixes by name, by their scorer."""
    found: dict[str, dict[str, Mix]] = {}
    for name, mix in experiment.mixes.items():
        found.setdefault(experiment.scorer_of(mix), {})[name] = mix
    return found


def counted(
    project: Project, scorer: str, mixes: Iterable[Mix], partition: str
) -> Mapping[str, pl.DataFrame]:
    """What decides mixes of one scorer, by score column: texts only where one looks at them."""
    wanted = list(mixes)
    found = _read_by(project, wanted)
    with_texts = any(mix.reads_texts for mix in wanted)
    read: dict[str, pl.DataFrame] = {}
    for source in found.sources:
        scored = scores_in(project, scorer, source, partition)
        if with_texts:
            texts = texts_of(project.workspace.tables, source, partition)
            scored = with_scores(texts, scored)
        read[source] = scored
    return {**read, **dict(further_scores(project, found, partition))}


def counted_at_once(
    project: Project, scorer: str, mix: Mix, partitions: Sequence[str]
) -> Mapping[str, pl.DataFrame]:
    """`counted` of several partitions, which `partition` names, for a mix that reads no texts."""
    found = _read_by(project, [mix])
    own = {source: scores_in(project, scorer, source, partitions) for source in found.sources}
    return {**own, **dict(further_scores(project, found, partitions))}


def _read_by(project: Project, mixes: Iterable[Mix]) -> Reads:
    columns = dict.fromkeys(column for mix in mixes for column in columns_read(mix))
    return Reads.of(columns, project.experiment.source_names)


def _counted_parts(project: Project, mix: Mix) -> Parts:
    scorer = project.experiment.scorer_of(mix)

    def part(partition: str) -> tuple[Candidates, Mapping[str, pl.Series]]:
        candidates = counted(project, scorer, [mix], partition)
        return candidates, sets_of(project, mix, partition)

    return lambda: _read_ahead(project, part)


def _read_ahead(project: Project, read: Callable[[str], T]) -> Iterator[T]:
    """What is read of each partition, the next one while one is worked on."""
    with ThreadPoolExecutor(1) as reader:
        yield from asked_ahead(project.partitions, lambda key: reader.submit(read, key).result, 1)
