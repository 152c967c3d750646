"""The contract of models that are trained here: subclass `ModelContract` in a module of tests.

A model that keeps it is the same each time it learns from the same pairs::

    class TestMine(ModelContract):
        model = MineModel(kind="mine", corpus="pairs", samples_seen=16)
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from recap_assets.engines.protocols import Places
from recap_assets.specs.models import ModelSpec
from recap_assets.testing.inputs import Nothing, marked_but_deciding
from recap_assets.training.corpora.kind import TextRow
from recap_assets.training.engine.pairs import TrainingPairs
from recap_assets.training.models.kind import ImageTextModel, TextModel, TrainedModel

COLOURS = ("red", "green", "blue")
INPUTS = ("colour", "thing")


class ModelContract:
    """What must hold of every kind of model; its tests need `model`, and what that one needs."""

    model: ImageTextModel | TextModel
    models: Mapping[str, ModelSpec] = {}
    """The other models of the experiment, by name."""

    places: Places = Nothing()
    """Where those are that were trained before."""

    def trained(self) -> TrainedModel:
        """The model, trained on a few squares of one colour and what they are called."""
        if isinstance(self.model, TextModel):
            return self.model.train(INPUTS, some_rows(), self.places, lambda *_: None)
        side = self.model.image_side(self.models)
        return self.model.train(some_pairs(side), self.places, lambda *_: None)

    def test_the_same_pairs_give_the_same_model(self, tmp_path: Path) -> None:
        """The same files, to the byte, on one machine."""
        found: list[Mapping[str, bytes]] = []
        for folder in (tmp_path / "one", tmp_path / "two"):
            folder.mkdir()
            self.trained().save(folder)
            files = (path for path in sorted(folder.rglob("*")) if path.is_file())
            found.append({str(path.relative_to(folder)): path.read_bytes() for path in files})
        assert found[0]
        assert found[0] == found[1]

    def test_the_curve_says_what_was_seen(self) -> None:
        """It ends with all the samples, at most a step over, and has losses that are numbers."""
        curve = self.trained().curve
        assert curve[-1].samples_seen >= self.model.samples_seen
        assert np.isfinite([point.loss for point in curve]).all()

    def test_what_it_needs_are_models_that_it_names(self) -> None:
        """And its corpus."""
        named = {(one.section, one.name) for one in self.model.refers()}
        assert ("corpora", self.model.corpus) in named
        assert {name for section, name in named if section == "models"} <= self.models.keys()

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        assert not marked_but_deciding(self.model)


def some_pairs(side: int, n: int = 24) -> TrainingPairs:
    """Squares of one colour each, and texts that name it."""
    colours = np.arange(n) % len(COLOURS)
    images = np.zeros((n, side, side, 3), np.uint8)
    images[np.arange(n), :, :, colours] = 255
    texts = [f"a {COLOURS[colour]} square, number {i}" for i, colour in enumerate(colours)]
    return TrainingPairs(images, np.arange(n, dtype=np.int32), texts, np.ones(n, np.float32))


def some_rows(n: int = 24) -> list[TextRow]:
    """A colour and a thing, and both in one text."""
    colours = [COLOURS[number % len(COLOURS)] for number in range(n)]
    return [
        TextRow((colour, f"square {number}"), f"a {colour} square, number {number}")
        for number, colour in enumerate(colours)
    ]
