"""Training pairs grouped by image, and the order in which a run passes over them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from recap_assets.training.engine.draws import stream, uniform, words

_ORDER, _CHOICE = 1, 2


@dataclass(frozen=True)
class TrainingPairs:
    """Images and the texts that go with each.

    Attributes:
        images: uint8, shape (n_images, height, width, 3), all of the size that the model takes.
        image_index: int32, shape (n_pairs,): the image of each pair, in any order.
        texts: One per pair.
        weights: float32, shape (n_pairs,): how often an image draws the pair among its own; an
            image without any positive weight is never drawn.
        sources: The source of each text; empty where nobody asked.
        copies: int32, shape (n_images,): how often an epoch passes each image; None for once.
    """

    images: NDArray[np.uint8]
    image_index: NDArray[np.int32]
    texts: Sequence[str]
    weights: NDArray[np.float32]
    sources: Sequence[str] = ()
    copies: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        _check_shapes(self)
        if not self.texts:
            _refuse("no pairs to train on: every sample was rejected or filtered out")
        if self.image_index.min() < 0 or self.image_index.max() >= len(self.images):
            _refuse(f"an image number is outside 0 ... {len(self.images) - 1}")
        if not np.isfinite(self.weights).all() or (self.weights < 0).any():
            _refuse("weights must be finite and not negative")
        if not (self.weights > 0).any():
            _refuse("no pair has a positive weight")
        if self.copies is not None and (
            self.copies.shape != (len(self.images),) or (self.copies < 1).any()
        ):
            _refuse("copies must be one whole number above 0 for each image")

    def content_hash(self) -> str:
        """32 hex digits over all content, in order."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.images.shape, len(self.texts))).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(self.image_index.astype("<i4").tobytes())
        digest.update(self.weights.astype("<f4").tobytes())
        if self.copies is not None:
            digest.update(b"copies" + self.copies.astype("<i4").tobytes())
        for text in (*self.texts, *self.sources):
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()


class Positives(NamedTuple):
    """All texts of some images.

    Attributes:
        pairs: Pair numbers, shape (m,).
        owners: Shape (m,): which of the images each is of.
        shares: Shape (m,), float32: the weight of each among its image's; they add up to 1.
    """

    pairs: NDArray[np.int64]
    owners: NDArray[np.int64]
    shares: NDArray[np.float32]


class PairOrder:
    """An endless sequence of pairs: each epoch passes every image, in an order of its own.

    Once, or as often as it has copies, each of which draws among its pairs by itself.

    Order and draws are a function of (seed, position) only.
    """

    def __init__(self, pairs: TrainingPairs, seed: int) -> None:
        self.seed = seed
        self._by_image = np.argsort(pairs.image_index, kind="stable")
        weights = pairs.weights[self._by_image].astype(np.float64)
        self._upper = np.cumsum(weights)
        self._weights = weights
        index = pairs.image_index[self._by_image]
        first = np.flatnonzero(np.diff(index, prepend=-1))
        last = np.append(first[1:], len(index)) - 1
        low = np.where(first > 0, self._upper[first - 1], 0.0)
        drawable = self._upper[last] > low
        passes = drawable.astype(np.int64)
        if pairs.copies is not None:
            passes *= pairs.copies[index[first]]
        self._first, self._last = np.repeat(first, passes), np.repeat(last, passes)
        self._low, self._high = (np.repeat(end, passes) for end in (low, self._upper[last]))
        self.images_per_epoch = int(passes.sum())
        self._epoch: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def pairs_at(self, first: int, count: int) -> NDArray[np.int64]:
        """Pair numbers at the positions `first` ... `first + count - 1`, shape (count,)."""
        parts = []
        while count:
            epoch, start = divmod(first, self.images_per_epoch)
            part = self._pairs_of(epoch)[start : start + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return np.concatenate(parts)

    def texts_at(self, first: int, count: int) -> Positives:
        """All texts of the images at the positions `first` ... `first + count - 1`."""
        at = np.concatenate(list(self._images_at(first, count)))
        counts = self._last[at] - self._first[at] + 1
        owners = np.repeat(np.arange(len(at)), counts)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        places = self._first[at][owners] + within
        shares = self._weights[places]
        drawn = shares > 0
        totals = np.bincount(owners, shares, len(at))
        shares = (shares / totals[owners]).astype(np.float32)
        return Positives(self._by_image[places[drawn]], owners[drawn], shares[drawn])

    def _images_at(self, first: int, count: int) -> Iterator[NDArray[np.int64]]:
        while count:
            epoch, start = divmod(first, self.images_per_epoch)
            part = self._order_of(epoch)[start : start + count]
            yield part
            first, count = first + len(part), count - len(part)

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        if self._order[0] != epoch:
            draws = words(stream(self.seed, epoch, _ORDER), np.arange(self.images_per_epoch))
            self._order = (epoch, np.argsort(draws, kind="stable"))
        return self._order[1]

    def _pairs_of(self, epoch: int) -> NDArray[np.int64]:
        if self._epoch[0] != epoch:
            images = np.arange(self.images_per_epoch)
            order = self._order_of(epoch)
            share = uniform(stream(self.seed, epoch, _CHOICE), images)
            at = self._low + share * (self._high - self._low)
            # Rounding may reach the upper end, which belongs to the next image.
            at = np.minimum(at, np.nextafter(self._high, -np.inf))
            chosen = np.searchsorted(self._upper, at, side="right")
            self._epoch = (epoch, self._by_image[chosen][order])
        return self._epoch[1]


def _check_shapes(pairs: TrainingPairs) -> None:
    images = pairs.images
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
        _refuse(
            "images must be uint8 of shape (n, height, width, 3), "
            f"not {images.dtype} of shape {images.shape}"
        )
    counts = (len(pairs.texts), len(pairs.image_index), len(pairs.weights))
    if pairs.sources and len(pairs.sources) != len(pairs.texts):
        _refuse(f"{len(pairs.texts)} texts and {len(pairs.sources)} sources")
    if len(set(counts)) > 1:
        _refuse("{} texts, {} image numbers and {} weights".format(*counts))


def _refuse(problem: str) -> NoReturn:
    raise ValueError(problem)
