"""What a kind of model is that the platform trains itself.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts` and this; what trains is imported by its methods.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from pydantic import Field

from recap_assets.engines.protocols import Places
from recap_assets.specs.base import Name
from recap_assets.specs.models import ModelSpec
from recap_assets.specs.references import IMAGES, TEXTS, Reference

if TYPE_CHECKING:
    from recap_assets.graph.outside import Outside
    from recap_assets.graph.project import Project
    from recap_assets.training.corpora.kind import TextRow
    from recap_assets.training.engine.curve import CurvePoint
    from recap_assets.training.engine.pairs import TrainingPairs

OnProgress = Callable[[int, float], None]
"""Told the samples seen and the loss."""

SECONDS_PER_SAMPLE = 0.0015


class TrainedModel(Protocol):
    """A model after its run. It may have `facts`, small numbers by name, for people."""

    @property
    def curve(self) -> "Sequence[CurvePoint]":
        """A point at least."""
        ...

    def save(self, directory: Path) -> None:
        """Write it into an empty folder."""
        ...


class ModelKind(ModelSpec):
    """A model that is trained here. A kind is below `ImageTextModel`, `TextModel` or this."""

    samples_seen: int = Field(gt=0, le=10**12, description="Pairs seen in all.")

    @property
    def learns_from(self) -> str:
        """What it learns from, for people."""
        return "what the experiment has"

    def reads(self, project: "Project") -> Iterator[str]:  # noqa: ARG002 - of some kinds
        """Keys of the assets that it learns from; the models that it names are read anyway."""
        yield from ()

    def decided_by(self, project: "Project") -> Mapping[str, object]:  # noqa: ARG002 - of some kinds
        """What decides it beside its own fields and what it reads, by name."""
        return {}

    def outside(self, project: "Project") -> "Outside | None":  # noqa: ARG002 - of some kinds
        """Version of what it learns from that no asset makes, its own files aside."""
        return None

    @abstractmethod
    def learn(self, project: "Project", on_progress: OnProgress) -> TrainedModel:
        """Train it; what it reads being the same, the model is.

        Args:
            project: The experiment and its workspace, with all that it reads in place.
            on_progress: Told after each step.

        Raises:
            ModelFileError: A model that it needs is missing or damaged.
            ValueError: There is nothing to learn from.
        """


class CorpusModel(ModelKind):
    """A model that learns from a corpus."""

    corpus_gives: ClassVar[str] = IMAGES
    """What its corpus must have."""

    corpus: Name = Field(description="The corpus to learn from.")

    @property
    def learns_from(self) -> str:
        """The corpus."""
        return f"the corpus {self.corpus}"

    def refers(self) -> Iterator[Reference]:
        """The corpus."""
        yield from super().refers()
        yield Reference("corpus", self.corpus, "corpora", gives=self.corpus_gives)

    def reads(self, project: "Project") -> Iterator[str]:
        """The asset that makes the corpus, where one does."""
        from recap_assets.training.corpora.assets import corpus_of

        made_by = corpus_of(project, self.corpus).made_by(self.corpus)
        yield from () if made_by is None else (made_by,)

    def decided_by(self, project: "Project") -> Mapping[str, object]:
        """What of the corpus decides it."""
        from recap_assets.training.corpora.assets import corpus_of

        return corpus_of(project, self.corpus).decides_models()

    def outside(self, project: "Project") -> "Outside | None":
        """The corpus, where no asset makes it."""
        from recap_assets.training.corpora.assets import outside_of_corpus

        return outside_of_corpus(project, self.corpus)


class ImageTextModel(CorpusModel):
    """A model that learns from images with captions, and from the models that it `refers` to."""

    @abstractmethod
    def image_side(self, models: Mapping[str, ModelSpec]) -> int:
        """Side of the square images that it learns from, in pixels.

        Args:
            models: Those of the experiment, by name.

        Raises:
            ModelFileError: Its architecture is not known.
        """

    @abstractmethod
    def train(
        self, pairs: "TrainingPairs", places: Places, on_progress: OnProgress
    ) -> TrainedModel:
        """Train it; the same pairs give the same model.

        Args:
            pairs: The corpus, with images of `image_side`.
            places: Where the models are that were trained before.
            on_progress: Told after each step.

        Raises:
            ModelFileError: A model that it needs is missing or damaged.
        """

    def pairs(self, project: "Project") -> "TrainingPairs":
        """The corpus in memory."""
        from recap_assets.training.corpora.assets import image_corpus_of

        side = self.image_side(project.experiment.models)
        return image_corpus_of(project, self.corpus).pairs(self.corpus, project, side)

    def learn(self, project: "Project", on_progress: OnProgress) -> TrainedModel:
        """Train it on the corpus."""
        return self.train(self.pairs(project), project.workspace, on_progress)


class TextModel(CorpusModel):
    """A model that learns from rows of texts, and from the models that it `refers` to."""

    corpus_gives = TEXTS

    @abstractmethod
    def train(
        self,
        inputs: Sequence[str],
        rows: "Sequence[TextRow]",
        places: Places,
        on_progress: OnProgress,
    ) -> TrainedModel:
        """Train it; the same rows give the same model.

        Args:
            inputs: Names of the rows' inputs.
            rows: The corpus; one at least.
            places: Where the models are that were trained before.
            on_progress: Told after each step.

        Raises:
            ModelFileError: A model that it needs is missing or damaged.
        """

    def learn(self, project: "Project", on_progress: OnProgress) -> TrainedModel:
        """Train it on the corpus."""
        from recap_assets.training.corpora.assets import text_corpus_of

        corpus = text_corpus_of(project, self.corpus)
        rows = list(corpus.rows(self.corpus, project))
        if not rows:
            msg = f"corpora.{self.corpus}: no row with an input and an output in it"
            raise ValueError(msg)
        return self.train(corpus.inputs, rows, project.workspace, on_progress)


def facts_of(model: TrainedModel) -> Mapping[str, float]:
    """Small numbers that a model has about its run, by name."""
    return cast("Mapping[str, float]", getattr(model, "facts", {}))
