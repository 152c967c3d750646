"""The images of a classification set, each of which looks for its neighbours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recap_assets.evalsets.embedding import Embedder, Image
from recap_assets.evalsets.measuring import CHANCE, Measured, MeasuringSet
from recap_assets.evalsets.sets import ClassificationSet, EvaluationSet
from recap_assets.evalsets.webdatasets import EvaluationSetError
from recap_assets.evaluation.zero_shot import Embeddings, cosines, row_blocks

MAP = "map"
ALONE = "alone_in_its_class"
_BLOCK = 2**22


@dataclass(frozen=True)
class NeighbourSet(MeasuringSet):
    """Images with classes.

    Attributes:
        path: That of the set that they are of.
    """

    path: str
    _whole: ClassificationSet = field(repr=False)
    _ks: tuple[int, ...]

    def images(self, size: int) -> Iterator[list[Image]]:
        """The images of the set."""
        yield from self._whole.images(size)

    def expected(self) -> Iterator[object]:
        """The class of each image."""
        for _images, labels in self._whole.batches(256):
            yield from labels.tolist()

    def measure(self, embedder: Embedder, batch_size: int) -> Measured:
        """Measure a model; see `NeighboursTask`.

        Raises:
            EvaluationSetError: Also where no two images have one class.
        """
        vectors: list[Embeddings] = []
        classes: list[NDArray[np.int64]] = []
        for images, labels in self._whole.batches(batch_size):
            vectors.append(embedder.embed_images(images))
            classes.append(labels)
        labels = np.concatenate(classes)
        alike = np.bincount(labels)[labels] - 1
        if not alike.any():
            msg = f"{self.path}: no two of its {len(labels)} images have one class"
            raise EvaluationSetError(msg)
        hits, precision = neighbours(np.concatenate(vectors), labels, self._ks)
        n = int(np.count_nonzero(alike))
        values = {f"recall@{k}": (hits[k], n) for k in self._ks if k < len(labels)}
        chance = float(np.mean(alike[alike > 0] / (len(labels) - 1)))
        aside = {ALONE: len(labels) - n} if n < len(labels) else {}
        return Measured({**values, MAP: (precision, n), CHANCE: (chance, n)}, MAP, aside)


def neighbours_of(whole: EvaluationSet, ks: tuple[int, ...]) -> NeighbourSet:
    """The images of a classification set.

    Raises:
        EvaluationSetError: It is another sort of set.
    """
    if not isinstance(whole, ClassificationSet):
        msg = f"{whole.path}: neighbours need a set of classification, whose images have classes"
        raise EvaluationSetError(msg)
    return NeighbourSet(whole.path, whole, ks)


def neighbours(
    vectors: Embeddings, labels: NDArray[np.int64], ks: Sequence[int]
) -> tuple[dict[int, float], float]:
    """Recall at each k, and the mean average precision, of images as queries for each other.

    Args:
        vectors: Unit length, shape (n, dim).
        labels: Shape (n,), the class of each.
        ks: At which recall is taken.

    Returns:
        Means over the images that are not alone in their class. Ties rank the wrong ones first.
    """
    firsts: list[NDArray[np.int64]] = []
    precisions: list[NDArray[np.float64]] = []
    for rows in row_blocks(len(vectors), max(1, _BLOCK // len(vectors))):
        scores = cosines(vectors[rows], vectors)
        # NaN ties with everything, so it stands before all right ones and behind none.
        right = labels[rows, None] == labels[None]
        numbers = np.arange(len(vectors))[rows]
        own = np.arange(len(numbers))
        scores = np.where(np.isnan(scores), np.where(right, -np.inf, np.inf), scores)
        scores[own, numbers], right[own, numbers] = -np.inf, False
        queries = right.any(axis=1)
        ranked = _ranked(scores[queries], right[queries])
        firsts.append(ranked.argmax(axis=1))
        precisions.append(_average_precision(ranked))
    first = np.concatenate(firsts)
    recalls = {k: float(np.mean(first < k)) for k in ks}
    return recalls, float(np.mean(np.concatenate(precisions)))


def _ranked(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which places of each ranking are right; the image itself comes last, and is not right."""
    order = np.lexsort((right, -scores), axis=1)
    return np.take_along_axis(right, order, axis=1)


def _average_precision(ranked: NDArray[np.bool_]) -> NDArray[np.float64]:
    found = np.cumsum(ranked, axis=1)
    at = np.arange(1, ranked.shape[1] + 1)
    return (ranked * (found / at)).sum(axis=1) / found[:, -1]
