"""What a kind of scorer is: a spec that can be opened, to embed or to score pairs.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts` and this; its engine is imported by its methods.
"""

from abc import abstractmethod
from typing import ClassVar

from recap_assets.engines.opening import Opens
from recap_assets.engines.protocols import PairScorer, Places, Scorer
from recap_assets.specs.references import EMBEDDINGS
from recap_assets.specs.scorers import ScorerSpec


class Scoring(Opens, ScorerSpec):
    """A scorer of image and text. A kind is below `ByEmbeddings` or `ByPairs`."""

    on_gpu: ClassVar[bool] = True
    """Whether it waits for its turn on the GPU; one that a server computes does not."""

    @abstractmethod
    def open(self, places: Places) -> Scorer | PairScorer:
        """The model. It gives a text and an image the same score beside any others."""

    @property
    def at_once(self) -> int:
        """Images that are passed at once."""
        return 64

    @property
    def given_scores(self) -> str | None:
        """The column of the pool's metadata that has the raw texts' scores; None computes them."""
        return None


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
    """An image and a text are read together, as image-text matching and chat models do.

    It has no embeddings, so what needs them cannot use it: heads over embeddings, sets by embedding
    and the caption metrics. Mixes, re-ranking, exports and the report can.
    """

    @abstractmethod
    def open(self, places: Places) -> PairScorer:
        """The model that scores pairs."""
