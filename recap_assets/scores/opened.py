"""Scorers of an experiment, opened once in a process and kept for the partitions that follow."""

from collections.abc import Mapping
from contextlib import AbstractContextManager

from recap_assets.engines.protocols import PairScorer, Scorer, TextScorer
from recap_assets.graph.loaded import KeptOpen
from recap_assets.graph.project import Project
from recap_assets.scores.kind import ByEmbeddings, ByPairs, ByTexts, OwnScores, Scoring
from recap_assets.specs.kinds import KindError, fitting

Kinds = ByEmbeddings | ByPairs | ByTexts | OwnScores
"""What every kind of scorer is below one of."""

_KEPT = KeptOpen()


def scorers_of(project: Project) -> Mapping[str, Kinds]:
    """The scorers by name.

    Raises:
        KindError: A kind of another package is none.
    """
    return {name: scorer_named(project, name) for name in project.experiment.scorers}


def scorer_named(project: Project, name: str) -> Kinds:
    """The spec of a scorer.

    Raises:
        KindError: A kind of another package is none.
    """
    spec = fitting(f"scorers.{name}", project.experiment.scorers[name], Scoring)
    if not isinstance(spec, Kinds):
        of = f"{type(spec).__name__} of {spec.distribution}"
        msg = f"scorers.{name}: {of} is none of ByEmbeddings, ByPairs, ByTexts and OwnScores"
        raise KindError(msg)
    return spec


def embedding_scorer(project: Project, name: str) -> ByEmbeddings:
    """The spec of a scorer that embeds.

    Raises:
        KindError: It does not; an experiment that was checked names no such one here.
    """
    spec = scorer_named(project, name)
    if not isinstance(spec, ByEmbeddings):
        msg = f"scorers.{name} ({spec.word}) has no embeddings"
        raise KindError(msg)
    return spec


def embedder_of(project: Project, name: str) -> Scorer:
    """The model of a scorer that embeds; one scorer at a time stays in memory."""
    return _KEPT.opened(project, embedding_scorer(project, name))


def pair_scorer_of(project: Project, spec: ByPairs) -> AbstractContextManager[PairScorer]:
    """The model of a scorer of pairs; one behind a server is closed at the block's end."""
    return _KEPT.lent(project, spec)


def text_scorer_of(project: Project, spec: ByTexts) -> AbstractContextManager[TextScorer]:
    """What scores texts; one behind a server is closed at the block's end."""
    return _KEPT.lent(project, spec)
