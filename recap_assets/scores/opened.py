"""Scorers of an experiment, opened once in a process and kept for the partitions that follow."""

from collections.abc import Mapping

from recap_assets.engines.protocols import PairScorer, Scorer
from recap_assets.graph.loaded import KeptOpen
from recap_assets.graph.project import Project
from recap_assets.scores.kind import ByEmbeddings, ByPairs
from recap_assets.specs.kinds import KindError

_KEPT = KeptOpen()


def scorers_of(project: Project) -> Mapping[str, ByEmbeddings | ByPairs]:
    """The scorers by name.

    Raises:
        KindError: A kind of another package is none.
    """
    found: dict[str, ByEmbeddings | ByPairs] = {}
    for name, spec in project.experiment.scorers.items():
        if not isinstance(spec, ByEmbeddings | ByPairs):
            of = f"{type(spec).__name__} of {spec.distribution}"
            msg = f"scorers.{name}: {of} is neither ByEmbeddings nor ByPairs"
            raise KindError(msg)
        found[name] = spec
    return found


def embedding_scorer(project: Project, name: str) -> ByEmbeddings:
    """The spec of a scorer that embeds.

    Raises:
        KindError: It scores pairs; an experiment that was checked names no such one here.
    """
    spec = scorers_of(project)[name]
    if not isinstance(spec, ByEmbeddings):
        msg = f"scorers.{name} ({spec.word}) scores pairs, so it has no embeddings"
        raise KindError(msg)
    return spec


def embedder_of(project: Project, name: str) -> Scorer:
    """The model of a scorer that embeds; one scorer at a time stays in memory."""
    return _KEPT.opened(project, embedding_scorer(project, name))


def pair_scorer_of(project: Project, spec: ByPairs) -> PairScorer:
    """The model of a scorer of pairs; one scorer at a time stays in memory."""
    return _KEPT.opened(project, spec)
