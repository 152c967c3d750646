"""The images of a retrieval set, each among those most similar to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recap_assets.evalsets.embedding import Embedder, Image
from recap_assets.evalsets.measuring import CHANCE, Measured, MeasuringSet
from recap_assets.evalsets.sets import EvaluationSet, RetrievalSet
from recap_assets.evalsets.webdatasets import EvaluationSetError
from recap_assets.evaluation.bags import bags_by
from recap_assets.evaluation.metrics import hit_fraction, positive_ranks
from recap_assets.evaluation.zero_shot import (
    RETRIEVAL_MAIN,
    Embeddings,
    cosines,
    embedded_texts,
)


@dataclass(frozen=True)
class BagSet(MeasuringSet):
    """Images with captions, in bags.

    Attributes:
        path: That of the set that they are of.
        size: Images of a bag.
    """

    path: str
    size: int
    _whole: RetrievalSet = field(repr=False)
    _similar: Callable[[], Embedder] = field(repr=False)

    def images(self, size: int) -> Iterator[list[Image]]:
        """The images of the set."""
        yield from self._whole.images(size)

    def expected(self) -> Iterator[object]:
        """The captions of each image."""
        for _images, captions in self._whole.batches(256):
            yield from captions

    def measure(self, embedder: Embedder, batch_size: int) -> Measured:
        """Measure a model; see `BagsTask`.

        Raises:
            EvaluationSetError: Also where there is one image only.
        """
        similar = self._similar()
        looks: list[Embeddings] = []
        parts: list[Embeddings] = []
        captions: list[list[str]] = []
        for images, of_images in self._whole.batches(batch_size):
            looks.append(similar.embed_images(images))
            parts.append(embedder.embed_images(images))
            captions += of_images
        if len(captions) < 2:
            msg = f"{self.path}: it has one image, so none that is similar to it"
            raise EvaluationSetError(msg)
        texts = embedded_texts(embedder, [text for one in captions for text in one], batch_size)
        image_of = np.repeat(np.arange(len(captions)), [len(one) for one in captions])
        bags = bags_by(np.concatenate(looks), self.size)
        return Measured(within(np.concatenate(parts), texts, image_of, bags), RETRIEVAL_MAIN)


def bags_of(whole: EvaluationSet, size: int, similar: Callable[[], Embedder]) -> BagSet:
    """The images of a retrieval set in bags.

    Args:
        whole: The set.
        size: Images of a bag.
        similar: Opens the model whose image embeddings say which images are similar.

    Raises:
        EvaluationSetError: It is another sort of set.
    """
    if not isinstance(whole, RetrievalSet):
        msg = f"{whole.path}: bags need a set of retrieval, whose images have captions"
        raise EvaluationSetError(msg)
    return BagSet(whole.path, size, whole, similar)


def within(
    images: Embeddings,
    texts: Embeddings,
    image_of: NDArray[np.integer],
    bags: NDArray[np.int64],
) -> dict[str, tuple[float, int]]:
    """Recall at 1 of captions and images within each image's bag, and what guessing gives.

    Args:
        images: Unit length, shape (n, dim).
        texts: Unit length, shape (captions, dim), those of an image one after the other.
        image_of: Shape (captions,), the image of each, not descending.
        bags: Shape (n, size), the image itself first.
    """
    ends = np.searchsorted(image_of, np.arange(len(images)), side="right").tolist()
    starts = np.searchsorted(image_of, np.arange(len(images)), side="left").tolist()
    by_text: list[NDArray[np.int64]] = []
    by_image: list[NDArray[np.int64]] = []
    chances: list[float] = []
    for number, bag in enumerate(bags.tolist()):
        own = texts[starts[number] : ends[number]]
        right = np.zeros((len(own), len(bag)), np.bool_)
        right[:, 0] = True
        by_text.append(positive_ranks(cosines(own, images[bag]), right))
        places = np.concatenate([np.arange(starts[i], ends[i]) for i in bag])
        is_own = (np.arange(len(places)) < len(own))[None]
        by_image.append(positive_ranks(cosines(images[[number]], texts[places]), is_own))
        chances.append(0.5 * (1 / len(bag) + len(own) / len(places)))
    recalls = {
        "image_retrieval_recall@1": hit_fraction(np.concatenate(by_text), 1),
        "text_retrieval_recall@1": hit_fraction(np.concatenate(by_image), 1),
    }
    values = {**recalls, RETRIEVAL_MAIN: 0.5 * sum(recalls.values()), CHANCE: np.mean(chances)}
    return {name: (float(value), len(images)) for name, value in values.items()}
