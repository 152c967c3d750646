"""What a kind of scorer is: a spec that can be opened, to embed or to score pairs.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts` and this; its engine is imported by its methods.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from recap_assets.artefacts.training import MODELS
from recap_assets.engines.protocols import PairScorer, Places, Scorer
from recap_assets.specs.findings import Finding
from recap_assets.specs.references import EMBEDDINGS
from recap_assets.specs.scorers import ScorerSpec


class Scoring(ScorerSpec):
    """A scorer of image and text. A kind is below `ByEmbeddings` or `ByPairs`."""

    framework: ClassVar[str] = "pytorch"
    """What the UI says that it is computed by."""

    on_gpu: ClassVar[bool] = True
    """Whether it waits for its turn on the GPU; one that a server computes does not."""

    @abstractmethod
    def open(self, places: Places) -> Scorer | PairScorer:
        """The model. It gives a text and an image the same score beside any others.

        Raises:
            ModelFileError: The model is missing, damaged or of another kind.
            DeviceError: This machine has no such device.
        """

    @property
    def called(self) -> str:
        """The model, for people."""
        return self.word

    @property
    def at_once(self) -> int:
        """Images that are handed over at once."""
        return 64

    @property
    def trained_model(self) -> str | None:
        """The model of this experiment that scores; None for one from elsewhere."""
        return None

    @property
    def given_scores(self) -> str | None:
        """The column of the pool's metadata that has the raw texts' scores; None computes them."""
        return None

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:
        """Whether the model loads, if it is on this machine; one that is trained here can wait."""
        from recap_assets.engines.trying import tried

        if self.trained_model is not None:
            yield True, f"{where}: trained here as models/{self.trained_model}"
        else:
            yield tried(where, self.called, lambda: self.open(places))

    def trained_by(self) -> Iterator[str]:
        """Keys of the models trained here."""
        if self.trained_model is not None:
            yield MODELS.key(self.trained_model)


class ByEmbeddings(Scoring):
    """Images and texts are embedded into one space, each once; the score is the cosine."""

    gives = frozenset({EMBEDDINGS})

    @abstractmethod
    def open(self, places: Places) -> Scorer:
        """The model that embeds."""

    @property
    def given_embeddings(self) -> str | None:
        """The key of the metadata's npz files that has image embeddings; None computes them."""
        return None


class ByPairs(Scoring):
    """An image and a text are looked at together, as image-text matching and chat models do.

    It has no embeddings, so what needs them cannot use it: heads over embeddings, sets by embedding
    and the caption metrics. Mixes, re-ranking, exports and the report can.
    """

    @abstractmethod
    def open(self, places: Places) -> PairScorer:
        """The model that scores pairs."""
