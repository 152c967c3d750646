"""What a kind of corpus is: images with captions, and where they come from."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from recap_assets.specs.corpora import CorpusSpec
from recap_assets.specs.findings import Finding

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project
    from recap_assets.shards.reading import CorpusSample


class CorpusKind(CorpusSpec):
    """Images with captions to learn from, the same in each pass and in the same order."""

    @abstractmethod
    def read(self, name: str, project: "Project") -> "Iterator[CorpusSample]":
        """Each image with its captions; what cannot be read is left out.

        Args:
            name: The corpus, as the experiment names it.
            project: The experiment and its workspace.

        Raises:
            PoolError: There is nothing to read.
        """

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
