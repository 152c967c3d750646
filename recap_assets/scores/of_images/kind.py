"""What a kind of image scorer is: a spec that can be opened, for images or for embeddings.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts` and this; its engine is imported by its methods.
"""

from abc import abstractmethod
from typing import ClassVar

from recap_assets.engines.opening import Opens
from recap_assets.engines.protocols import ImageScorer, Places, VectorScorer
from recap_assets.specs.image_scorers import ImageScorerSpec


class ImageScoring(Opens, ImageScorerSpec):
    """A scorer of the image alone. A kind is below `OfImages` or `OfEmbeddings`."""

    on_gpu: ClassVar[bool] = True
    """Whether it waits for its turn on the GPU."""


class OfImages(ImageScoring):
    """It looks at the images themselves."""

    @abstractmethod
    def open(self, places: Places) -> ImageScorer:
        """The model. It gives an image the same score beside any others."""

    @property
    def at_once(self) -> int:
        """Images that are passed at once."""
        return 64


class OfEmbeddings(ImageScoring):
    """It takes the embeddings that a scorer of image and text has anyway; no image is read."""

    on_gpu = False

    @property
    @abstractmethod
    def embedded_by(self) -> str:
        """The scorer whose embeddings it takes. `refers` must name it, asking for embeddings."""

    @abstractmethod
    def open(self, places: Places) -> VectorScorer:
        """The model. It gives an embedding the same score beside any others."""
