"""The assets of corpora, and what models that learn from one rest on."""

from recap_assets.graph.node import ForAll, Node
from recap_assets.graph.outside import Outside, outside_of
from recap_assets.graph.project import Project
from recap_assets.shards.files import PoolError
from recap_assets.specs.kinds import fitting
from recap_assets.training.corpora.kind import CorpusKind, ImageCorpus, TextCorpus

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


def image_corpus_of(project: Project, name: str) -> ImageCorpus:
    """A corpus with images.

    Raises:
        KindError: A kind of another package is none.
    """
    return fitting(f"corpora.{name}", project.experiment.corpora[name], ImageCorpus)


def text_corpus_of(project: Project, name: str) -> TextCorpus:
    """A corpus of texts.

    Raises:
        KindError: A kind of another package is none.
    """
    return fitting(f"corpora.{name}", project.experiment.corpora[name], TextCorpus)


def outside_of_corpus(project: Project, name: str) -> Outside | None:
    """Version of a corpus that no asset makes; None for one that an asset makes."""
    corpus = corpus_of(project, name)
    if corpus.made_by(name) is not None:
        return None
    # Of files that it names what was hashed is kept.
    return outside_of(project, corpus) or ForAll(lambda: _version(name, corpus))


def _version(name: str, corpus: CorpusKind) -> str:
    """The corpus's own version; what is wrong with it is said under its name in the file."""
    try:
        return corpus.version() or ""
    except PoolError as error:
        msg = f"corpora.{name}: {error}"
        raise PoolError(msg) from error
