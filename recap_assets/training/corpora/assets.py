"""The assets of corpora, and what models that learn from one rest on."""

from recap_assets.graph.node import Node
from recap_assets.graph.project import Setting
from recap_assets.specs.kinds import fitting
from recap_assets.training.corpora.kind import CorpusKind

STAGE = "world"


def nodes(setting: Setting) -> list[Node]:
    """The nodes of each corpus that assets make."""
    names = setting.experiment.corpora
    return [node for name in names for node in corpus_of(setting, name).nodes(name, setting)]


def corpus_of(setting: Setting, name: str) -> CorpusKind:
    """A corpus of the experiment.

    Raises:
        KindError: A kind of another package is none.
    """
    return fitting(f"corpora.{name}", setting.experiment.corpora[name], CorpusKind)
