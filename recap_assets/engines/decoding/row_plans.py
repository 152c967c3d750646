"""How many rows the steps of a batch of captions have, from the first to the last caption."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recap_assets.engines.decoding.guidance import Steps
from recap_assets.engines.decoding.sampling import NOT_FINITE
from recap_assets.engines.row_counts import Probe, RowCounts, rounded

_PROBED_STEPS = 3


@dataclass(frozen=True)
class RowPlan:
    """Rows of the passes over one batch.

    Attributes:
        start: Of the pass that reads the images.
        steps: Of the first steps.
        fewer: Of later ones: given how many rows are still wanted and how many there are now, how
            many are to be computed. Never more than there are.
    """

    start: int
    steps: int
    fewer: Callable[[int, int], int]


def filled_plan(images_per_batch: int, rows_per_image: int) -> RowPlan:
    """On a GPU, which chooses its kernels by rules that nobody here can list: always all rows."""
    images = rounded(images_per_batch)
    return RowPlan(images, rounded(images_per_batch * rows_per_image), lambda _wanted, now: now)


def unpadded_plan(n_images: int, rows_per_image: int) -> RowPlan:
    """For a model that computes one row at a time."""
    return RowPlan(n_images, n_images * rows_per_image, lambda wanted, _now: wanted)


class ProbedPlans:
    """Plans of the CPU, out of numbers of rows that were found to give a row its own bits.

    Args:
        counts: What was found for this model.
        steps: The model.
        features: Of an image, one row.
        rows_per_image: Candidates or beams, which are computed together.
        vocabulary: Tokens that the model knows.
    """

    def __init__(
        self,
        counts: RowCounts,
        steps: Steps[Any],
        features: Tensor,
        rows_per_image: int,
        vocabulary: int,
    ) -> None:
        self._counts = counts
        self._vocabulary = vocabulary
        self._steps = steps
        self._features = features
        self._rows_per_image = rows_per_image
        self._unit = counts.unit(self._probe)

    @property
    def exist(self) -> bool:
        """Whether the rows of one image can be computed together, in batches of whatever size."""
        return self._unit > 1 and self._steps_of(1) is not None

    def parts(self, n: int, images_per_batch: int) -> Iterator[tuple[slice, RowPlan]]:
        """Cut `n` images into batches with their plans.

        Args:
            n: Images.
            images_per_batch: At most; rows of a unit are computed anyway, so they are used.
        """
        most = max(images_per_batch, self._unit // self._rows_per_image)
        first = 0
        while first < n:
            images = min(n - first, most)
            while (steps := self._steps_of(images)) is None:
                images //= 2
            start = self._fewer(images, max(steps, self._unit))
            yield slice(first, first + images), RowPlan(start, steps, self._fewer)
            first += images

    def _steps_of(self, images: int) -> int | None:
        rows = images * self._rows_per_image
        # One image has nothing to be cut into: rather more rows than none at all.
        most = rows if images > 1 else 2 * rows
        return self._counts.at_least(rows, max(most, self._unit), self._probe)

    def _fewer(self, wanted: int, now: int) -> int:
        return self._counts.at_least(wanted, now, self._probe) or now

    def _probe(self, numbers: Tensor) -> Iterable[Tensor]:
        return probe_of(self._steps, self._features, self._vocabulary, _PROBED_STEPS)(numbers)


def probe_of(steps: Steps[Any], features: Tensor, vocabulary: int, n_steps: int) -> Probe:
    """One image and, for each number, tokens of its own: the passes that captions take.

    Args:
        steps: The model.
        features: Of the image, one row.
        vocabulary: Tokens that the model knows.
        n_steps: Steps after the first token.
    """

    def probe(numbers: Tensor) -> Iterator[Tensor]:
        numbers = numbers.to(features.device)
        logits, state = steps.start(features.expand(len(numbers), *features.shape[1:]))
        for step in range(n_steps + 1):
            if torch.isnan(logits.own).any():
                raise FloatingPointError(NOT_FINITE)
            yield torch.cat(logits, dim=1)
            if step < n_steps:
                # Never token 0, which pads in most vocabularies and is masked.
                tokens = 1 + (numbers * 7 + step * 31) % (vocabulary - 1)
                logits = steps.step(tokens, state)

    return probe
