"""Images prepared ahead of their use by a few threads, where a GPU computes meanwhile."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor

from recap_assets.engines.protocols import Image

P = TypeVar("P")

MOST_THREADS = 6
"""More of them wait for Python's lock: of 4 and 12 on 16 cores, 4 were faster."""

_IMAGES = 8
"""Images of one piece of work."""


class Preparing(Generic[P]):
    """Prepares images: ahead in threads for a device, or else one by one as they are asked for.

    Args:
        prepare: Prepares one image; what comes of it depends on nothing else.
        device: What the images are prepared ahead for; None prepares none ahead.
        threads: By default all cores but one, `MOST_THREADS` at most.
    """

    def __init__(
        self,
        prepare: Callable[[Image], P],
        device: torch.device | None,
        threads: int | None = None,
    ) -> None:
        self._prepare, self._device = prepare, device
        self._threads = threads or max(1, min(MOST_THREADS, (os.cpu_count() or 1) - 1))
        self._pool: ThreadPoolExecutor | None = None

    def begin(self, images: Sequence[Image]) -> Iterator[P]:
        """What becomes of each image, in order; an error is raised in its image's turn."""
        if self._device is None:
            return map(self._prepare, images)
        return self._ahead(images)

    def _ahead(self, images: Sequence[Image]) -> Iterator[P]:
        """The same, begun at once."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "recap-prepare", _alone)
        parts = (images[first : first + _IMAGES] for first in range(0, len(images), _IMAGES))
        return _each([self._pool.submit(self._part, part) for part in parts])

    def _part(self, images: Sequence[Image]) -> list[P]:
        with torch.inference_mode():
            prepared = [self._prepare(image) for image in images]
            return [self._pinned(one) for one in prepared]

    def _pinned(self, prepared: P) -> P:
        """In memory that a GPU reads by itself; only pixels are, prompts are small."""
        is_for_cuda = self._device is not None and self._device.type == "cuda"
        if is_for_cuda and isinstance(prepared, Tensor):
            return cast("P", prepared.pin_memory())
        return prepared


def _each(parts: Sequence[Future[list[P]]]) -> Iterator[P]:
    for part in parts:
        yield from part.result()


def _alone() -> None:
    """A thread of the pool computes by itself: the pool is what fills the cores."""
    torch.set_num_threads(1)
