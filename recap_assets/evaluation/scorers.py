"""What reading a scorer of the experiment means for a node that embeds evaluation sets with it."""

from collections.abc import Mapping
from dataclasses import dataclass

from recap_assets.artefacts.training import MODELS
from recap_assets.graph.node import Dependency
from recap_assets.graph.outside import Outside, outside_of
from recap_assets.graph.project import Project
from recap_assets.scores.embeddings import embeddings_node


@dataclass(frozen=True)
class ScorerRead:
    """A scorer as a node reads it.

    Attributes:
        name: Of the scorer.
        decides: What decides its embeddings of images.
        trained: Edges to the models of this experiment that it is.
        outside: Version of the files that it reads; None for none.
    """

    name: str
    decides: Mapping[str, object]
    trained: tuple[Dependency, ...]
    outside: Outside | None


def scorer_read(project: Project, name: str) -> ScorerRead:
    """A scorer that embeds images."""
    node = embeddings_node(project, name)
    models = set(map(MODELS.key, project.experiment.models))
    trained = tuple(one for one in node.dependencies if one.asset in models)
    spec = project.experiment.scorers[name]
    return ScorerRead(name, node.decides_value, trained, outside_of(project, spec))
