"""What a kind of model is that the platform trains itself.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts` and this; what trains is imported by its methods.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from recap_assets.engines.protocols import Places
from recap_assets.specs.models import ModelSpec

if TYPE_CHECKING:
    from recap_assets.training.engine.clip import CurvePoint
    from recap_assets.training.engine.pairs import TrainingPairs

OnProgress = Callable[[int, float], None]
"""Told the pairs seen and the loss."""


class TrainedModel(Protocol):
    """A model after its run."""

    @property
    def curve(self) -> "Sequence[CurvePoint]":
        """A point at least."""
        ...

    def save(self, directory: Path) -> None:
        """Write it into an empty folder."""
        ...


class ModelKind(ModelSpec):
    """A model that learns from a corpus, and from the other models that it `refers` to."""

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
