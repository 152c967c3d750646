"""The contract of evaluation tasks: subclass `TaskContract` in a module of tests, and give `task`.

A task that keeps it gives the same images, labels and captions each time, in batches of any size::

    class TestShapes(TaskContract):
        task = ShapesTask(kind="shapes", path="tiny")
"""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from recap_assets.evalsets.kind import Task
from recap_assets.evalsets.sets import AssociationSet, EvaluationSet
from recap_assets.evaluation.kind import Existing, MadeHere
from recap_assets.shards.images import decode
from recap_assets.specs.pool import ImageLimits
from recap_assets.testing.inputs import marked_but_deciding


class TaskContract:
    """What must hold of every kind of task; its tests need `task`, and `made` of one made here."""

    task: Task
    made: Path = Path("nowhere")
    """The folder with the set, for a task whose set is made here."""

    def opened(self) -> EvaluationSet:
        """The set, opened again."""
        return self.task.open(self.made, partial(decode, limits=ImageLimits()))

    def test_it_has_images_and_they_come_again(self) -> None:
        """The same images in the same order, opened again and in batches of another size."""
        whole = _flat(self.opened().images(1_000))
        assert whole
        assert all(image.dtype == np.uint8 and image.shape[2:] == (3,) for image in whole)
        again = _flat(self.opened().images(1))
        assert len(again) == len(whole)
        assert all(map(np.array_equal, whole, again))

    def test_what_is_told_of_an_image_does_not_depend_on_the_batch(self) -> None:
        """Labels, captions or metadata."""
        assert list(_told(self.opened(), 3)) == list(_told(self.opened(), 1_000))

    def test_its_version_is_that_of_its_files_or_of_the_asset_that_makes_it(self) -> None:
        """One or the other, and the same if nothing changes."""
        assets, files = list(self.task.made_by("a")), list(self.task.versions("a"))
        assert bool(assets) != bool(files)
        assert isinstance(self.task, MadeHere if assets else Existing)
        assert list(self.task.versions("a")) == files
        assert self.task.images_version() == self.task.images_version()

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        assert not marked_but_deciding(self.task)


def _flat(batches: Iterable[list[np.ndarray]]) -> list[np.ndarray]:
    return [image for batch in batches for image in batch]


def _told(one: EvaluationSet, size: int) -> Iterator[list[object]]:
    if isinstance(one, AssociationSet):
        yield from ([found.cue, *found.is_associated] for found in one.associations())
        return
    for _images, expected in one.batches(size):
        yield from (np.atleast_1d(row).tolist() for row in expected)
