"""The assets of corpora, and what models that learn from one rest on."""

from recap_assets.graph.node import Node
from recap_assets.graph.project import Project
from recap_assets.specs.kinds import fitting
from recap_assets.training.corpora.kind import CorpusKind

STAGE = "world"


def nodes(project: Project) -> list[Node]:
    """The nodes of each corpus that assets make."""
    names = project.experiment.corpora
    return [node for name in names for node in corpus_of(project, name).nodes(name, project)]


def corpus_of(project: Project, name: str) -> CorpusKind:
    """A corpus of the experiment.

    Raises:
        KindError: A kind of another package is none.
    """
    return fitting(f"corpora.{name}", project.experiment.corpora[name], CorpusKind)
