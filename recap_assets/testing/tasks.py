"""The contract of evaluation tasks: subclass `TaskContract` in a module of tests, and give `task`.

A task that keeps it gives the same images, labels and captions each time, in batches of any size::

    class TestShapes(TaskContract):
        task = ShapesTask(kind="shapes", path="tiny")
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np

from recap_assets.evalsets.kind import Task
from recap_assets.evalsets.measuring import CHANCE
from recap_assets.evalsets.sets import AssociationSet, Decode, EvaluationSet, MeasuringSet
from recap_assets.evaluation.kind import Existing, MadeHere, OnAnother
from recap_assets.shards.images import decode
from recap_assets.specs.pool import ImageLimits
from recap_assets.testing.inputs import marked_but_deciding


class Hashing:
    """An embedder that gives each image and each text a direction of its own."""

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """By the hash of the pixels."""
        return self._directions([image.tobytes() for image in images])

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """By the hash of the text."""
        return self._directions([text.encode() for text in texts])

    def _directions(self, contents: Sequence[bytes]) -> np.ndarray:
        seeds = [int.from_bytes(blake2b(one, digest_size=8).digest()) for one in contents]
        rows = [np.random.default_rng(seed).standard_normal(16) for seed in seeds]
        vectors = np.array(rows, np.float64).reshape(-1, 16)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


DIGEST = (1, 16, 3)

_decode = partial(decode, limits=ImageLimits())


def _digest(content: bytes) -> np.ndarray:
    """An image that says which file it was, in place of its pixels."""
    row = np.frombuffer(blake2b(content, digest_size=48).digest(), np.uint8)
    return row.reshape(DIGEST)


class _Seeing(Hashing):
    """Remembers the images that it was given."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        self.seen += images
        return super().embed_images(images)


class TaskContract:
    """What must hold of every kind of task; its tests need `task`, and `made` of one made here."""

    task: Task
    made: Path = Path("nowhere")
    """The folder with the set, for a task whose set is made here."""
    of: Task | None = None
    """For a task on the set of another: that one."""

    def opened(self, decoding: Decode = _decode) -> EvaluationSet:
        """The set, opened again."""
        task = self.of or self.task
        opened = task.open(self.made, decoding)
        if isinstance(self.task, OnAnother):
            return self.task.over(opened, Hashing)
        return opened

    def test_it_has_images_and_they_come_again(self) -> None:
        """The same images in the same order, opened again and in batches of another size."""
        opened = self.opened()
        whole = _flat(opened.images(1_000))
        assert whole or (isinstance(opened, MeasuringSet) and not opened.has_images)
        assert all(image.dtype == np.uint8 and image.shape[2:] == (3,) for image in whole)
        again = _flat(self.opened().images(1))
        assert len(again) == len(whole)
        assert all(map(np.array_equal, whole, again))

    def test_what_is_told_of_an_image_does_not_depend_on_the_batch(self) -> None:
        """Labels, captions or metadata."""
        told = list(_told(self.opened(), 3))
        assert told
        assert told == list(_told(self.opened(), 1_000))

    def test_what_a_set_measures_itself_does_not_depend_on_the_batch(self) -> None:
        """The same values for any batch size, one of them the main one, in the task's ranges."""
        opened, again = self.opened(), self.opened()
        if not isinstance(opened, MeasuringSet) or not isinstance(again, MeasuringSet):
            return
        found = opened.measure(Hashing(), 1)
        assert found == again.measure(Hashing(), 1_000)
        assert found.main in found.values
        assert CHANCE in found.values
        for metric, (value, n_samples) in found.values.items():
            low, high = self.task.ranges.get(metric, (0.0, 1.0))
            assert low <= value <= high
            assert n_samples > 0

    def test_images_come_as_they_were_decoded_where_the_task_says_so(self) -> None:
        """Every image of the set, and every one that a model is given, is what `decode` gave."""
        opened, model = self.opened(_digest), _Seeing()
        if self.task.passes_images_on:
            if isinstance(opened, MeasuringSet):
                opened.measure(model, 2)
            for image in [*_flat(opened.images(2)), *model.seen]:
                assert image.shape == DIGEST

    def test_its_version_is_that_of_its_files_or_of_the_asset_that_makes_it(self) -> None:
        """One or the other, and the same if nothing changes."""
        assets, files = list(self.task.made_by("a")), list(self.task.versions("a"))
        if isinstance(self.task, OnAnother):
            assert not assets + files
            return
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
    if isinstance(one, MeasuringSet):
        yield from ([row] for row in one.expected())
        return
    for _images, expected in one.batches(size):
        yield from (np.atleast_1d(row).tolist() for row in expected)
