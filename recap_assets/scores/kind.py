"""What a kind of scorer is: a spec that can be opened, or that has nodes of its own.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts` and this; its engine and its nodes are imported by its methods.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from recap_assets.engines.opening import Opens
from recap_assets.engines.protocols import PairScorer, Places, Scorer, TextScorer
from recap_assets.specs.findings import Finding
from recap_assets.specs.references import EMBEDDINGS
from recap_assets.specs.scorers import ScorerSpec

if TYPE_CHECKING:
    import polars as pl

    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class Scoring(ScorerSpec):
    """A score of each text of each image.

    A kind is below `ByEmbeddings`, `ByPairs`, `ByTexts` or `OwnScores`.
    """

    on_gpu: ClassVar[bool] = True
    """Whether it waits for its turn on the GPU; one that a server computes does not."""

    score_is: ClassVar[str] = "score of image and caption"
    """What its numbers are, for people."""

    seconds: ClassVar[float] = 1.0
    """A guess of the time of a partition, for the first plan, before there is a history."""

    @property
    def given_scores(self) -> str | None:
        """The column of the pool's metadata that has the raw texts' scores; None computes them."""
        return None


SECONDS_PER_IMAGE = 0.001
"""Of a small model, and of reading an image for any."""


class ByEmbeddings(Opens, Scoring):
    """Images and texts are embedded into one space, each once; the score is the cosine."""

    gives = frozenset({EMBEDDINGS})
    seconds = 0.5
    score_is = "cosine of image and caption"

    of_pair_alone = True

    @property
    def seconds_per_image(self) -> float:
        """A guess for one image's embedding, before anything like it was measured."""
        return SECONDS_PER_IMAGE

    @abstractmethod
    def open(self, places: Places) -> Scorer:
        """The model that embeds. A text and an image have the same score beside any others."""

    @property
    def at_once(self) -> int:
        """Images that are passed at once."""
        return 64

    @property
    def given_embeddings(self) -> str | None:
        """The key of the metadata's npz files that has image embeddings; None computes them."""
        return None

    def shown(self, scorer: Scorer, images: "pl.DataFrame") -> Mapping[str, str]:  # noqa: ARG002 - of some kinds
        """What else people see of a partition's images, Markdown by a short name.

        Args:
            scorer: The open model.
            images: Columns shard, uid and embedding.
        """
        return {}


class ByPairs(Opens, Scoring):
    """An image and a text are read together, as image-text matching and chat models do.

    It has no embeddings, so what needs them cannot use it: heads over embeddings, sets by embedding
    and the caption metrics. Mixes, re-ranking, exports and the report can.
    """

    of_pair_alone = True

    @abstractmethod
    def open(self, places: Places) -> PairScorer:
        """The model that scores pairs. A pair has the same score beside any others."""

    @property
    def at_once(self) -> int:
        """Images that are passed at once."""
        return 64

    @property
    def is_announced(self) -> bool:
        """Whether all pairs of a partition are announced first; opens an `AnnouncedPairScorer`."""
        return False

    def spent(self, scorer: PairScorer) -> Mapping[str, int | float]:  # noqa: ARG002 - of servers
        """What a partition took beside time, by name."""
        return {}


class ByTexts(Opens, Scoring):
    """A text is read alone, whatever its image; no image is read."""

    on_gpu = False
    framework = "numpy"
    seconds = 0.1
    score_is = "score of the caption alone"

    of_pair_alone = True

    @abstractmethod
    def open(self, places: Places) -> TextScorer:
        """What scores texts. A text has the same score beside any others."""


class OwnScores(Scoring):
    """Scores that come by assets of the kind's own: from other scores, or from other texts.

    It has no embeddings, as one `ByPairs`.
    """

    on_gpu = False
    framework: ClassVar[str] = "polars"
    seconds = 0.1

    @abstractmethod
    def nodes(self, name: str, source: str, project: "Project") -> "list[Node]":
        """The assets of its scores of a source, `CLIP_SCORES.key(name, source)` among them.

        `recap_assets.scores.node.node_of` makes that one. Assets that several sources share have
        one key and may be given more than once.
        """

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of some kinds
        """What stands between the scorer and a build; `where` is its name in the file."""
        yield from ()
