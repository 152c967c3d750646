"""What a kind of image scorer is: a spec that can be opened, or that has nodes of its own.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts` and this; its engine and its nodes are imported by its methods.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from recap_assets.engines.opening import Opens
from recap_assets.engines.protocols import ImageScorer, Places, VectorScorer
from recap_assets.specs.findings import Finding
from recap_assets.specs.image_scorers import ImageScorerSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class ImageScoring(ImageScorerSpec):
    """A score of the image alone.

    A kind is below `OfImages`, `OfEmbeddings` or `OwnImageScores`.
    """

    on_gpu: ClassVar[bool] = True
    """Whether it waits for its turn on the GPU."""

    seconds: ClassVar[float] = 1.0
    """A guess of the time of a partition, for the first plan, before there is a history."""


class OfImages(Opens, ImageScoring):
    """It looks at the images themselves."""

    @abstractmethod
    def open(self, places: Places) -> ImageScorer:
        """The model. It gives an image the same score beside any others."""

    @property
    def at_once(self) -> int:
        """Images that are passed at once."""
        return 64


class OfEmbeddings(Opens, ImageScoring):
    """It takes the embeddings that a scorer of image and text has anyway; no image is read."""

    on_gpu = False
    seconds = 0.01

    @property
    @abstractmethod
    def embedded_by(self) -> str:
        """The scorer whose embeddings it takes. `refers` must name it, asking for embeddings."""

    @abstractmethod
    def open(self, places: Places) -> VectorScorer:
        """The model. It gives an embedding the same score beside any others."""


class OwnImageScores(ImageScoring):
    """Scores that come by assets of the kind's own."""

    on_gpu = False
    framework: ClassVar[str] = "numpy"
    seconds = 0.1

    @abstractmethod
    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """Its assets, `IMAGE_SCORES.key(name)` among them.

        `recap_assets.scores.of_images.node.node_of` makes that one.
        """

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of some kinds
        """What stands between the scorer and a build; `where` is its name in the file."""
        yield from ()
