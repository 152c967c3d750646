"""What a kind of corpus is: images with captions or rows of texts, and where they come from."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recap_assets.specs.corpora import CorpusSpec
from recap_assets.specs.findings import Finding
from recap_assets.specs.references import IMAGES, TEXTS

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project
    from recap_assets.shards.reading import CorpusSample
    from recap_assets.training.engine.pairs import TrainingPairs


class CorpusKind(CorpusSpec):
    """What models learn from. A kind is below `ImageCorpus` or `TextCorpus`."""

    def nodes(self, name: str, project: "Project") -> "list[Node]":  # noqa: ARG002 - of some kinds
        """The assets that make the corpus."""
        return []

    def made_by(self, name: str) -> str | None:  # noqa: ARG002 - of some kinds
        """Key of the asset that the samples are read of; None where they come from outside."""
        return None

    def version(self) -> str | None:
        """16 hex digits for what is outside; None where an asset makes the corpus.

        Raises:
            PoolError: There is nothing to read.
        """
        return None

    def decides_models(self) -> Mapping[str, object]:
        """What decides a model that learns from it, beside `version` and the asset, by name."""
        return {"corpus_spec": self.decides()}

    def doctor(self, where: str) -> Iterator[Finding]:  # noqa: ARG002 - of some kinds
        """What stands between the corpus and a build; `where` is its name in the file."""
        yield from ()


class ImageCorpus(CorpusKind):
    """Images with captions to learn from, the same in each pass and in the same order."""

    gives = frozenset({IMAGES})

    @abstractmethod
    def read(self, name: str, project: "Project") -> "Iterator[CorpusSample]":
        """Each image with its captions; what cannot be read is left out.

        Args:
            name: The corpus, as the experiment names it.
            project: The experiment and its workspace.

        Raises:
            PoolError: There is nothing to read.
        """

    def pairs(self, name: str, project: "Project", side: int) -> "TrainingPairs":
        """All of it in memory; every caption of an image is drawn equally often.

        Args:
            name: The corpus, as the experiment names it.
            project: The experiment and its workspace.
            side: Of the square images, in pixels.

        Raises:
            PoolError: There is nothing to read.
            ValueError: No image has a caption.
        """
        from recap_assets.training.loading import gathered_pairs

        return gathered_pairs(f"corpora.{name}", self.read(name, project), side)

    def sources_made_by(self) -> str | None:
        """Key of the asset that says which source each text is of; None where nothing says it."""
        return None


@dataclass(frozen=True)
class TextRow:
    """Texts, and what is to be made of them.

    Attributes:
        inputs: As many as the corpus has names for, in their order; "" where there is none.
        output: What a model learns to write.
    """

    inputs: tuple[str, ...]
    output: str


class TextCorpus(CorpusKind):
    """Rows of texts to learn from, the same in each pass and in the same order."""

    gives = frozenset({TEXTS})

    @property
    @abstractmethod
    def inputs(self) -> Sequence[str]:
        """Names of the inputs."""

    @abstractmethod
    def rows(self, name: str, project: "Project") -> Iterator[TextRow]:
        """The rows; those without an output are left out.

        Args:
            name: The corpus, as the experiment names it.
            project: The experiment and its workspace.

        Raises:
            PoolError: There is nothing to read, or a file is damaged.
        """
