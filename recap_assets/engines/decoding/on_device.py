"""What is particular to decoding on a GPU: padded numbers of rows, and steps that stay in place."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from recap_assets.engines.batch_sizes import Load
from recap_assets.engines.decoding.row_plans import RowPlan, filled_plan
from recap_assets.engines.devices import attention_class, device_class
from recap_assets.engines.protocols import SAME_CLASS, SAME_SIZE, Device
from recap_assets.engines.row_classes import Found, RowClass, at_least
from recap_assets.engines.row_counts import Probe, rounded

if TYPE_CHECKING:
    from recap_assets.engines.decoding.steady import Steady

PROBED_STEPS = 63
"""Steps at most that a probe takes: kernels are chosen by the length of a caption, too."""


class OnDevice:
    """What is known of a model on a GPU, from one batch to the next.

    Args:
        device: Where it computes.
        load: What is computed; None where findings are not kept.
        passes: Of the model for each token: two with guidance.
        file: Where findings are kept; None keeps none.
        steady: Writes captions in place; by default where the device is CUDA's.
    """

    def __init__(
        self,
        device: torch.device,
        load: Load | None = None,
        passes: int = 1,
        file: Path | None = None,
        steady: "Steady | None" = None,
    ) -> None:
        self._device = device
        file = file if load is not None else None
        of_device: dict[str, str | int | None] = {"passes": passes, **_class_of(device)}
        of_device |= {} if load is None else asdict(load)
        self.images = RowClass({**of_device, "part": "images"}, file)
        self.captions = RowClass({**of_device, "part": "captions"}, file)
        self.steady = steady
        if steady is None and device.type == "cuda":
            # It takes transformers, which small models on a CPU do without.
            from recap_assets.engines.decoding.steady import Steady  # noqa: PLC0415

            self.steady = Steady(device)
        self._is_padding = True

    @property
    def reproducible(self) -> str:
        """Where a caption is the same again: on this class of device, or for one batch size."""
        found = (self.images.found, self.captions.found)
        holds = self._is_padding and all(one is not None and one.holds for one in found)
        return SAME_CLASS if holds else SAME_SIZE

    def release(self) -> None:
        """Give up what stays in memory from one batch to the next."""
        if self.steady is not None:
            self.steady.release()

    def described(self) -> Device:
        """The device, and what was found on it."""
        found = self.captions.found
        rows = "none" if found is None else " ".join(map(str, found.counts)) or "none"
        of_device = _class_of(self._device)
        machine = {f"recap.gpu_{name}": word for name, word in of_device.items()}
        return Device(
            of_device["device"],
            {"reproducible": self.reproducible},
            {**machine, "recap.gpu_rows": rows},
        )

    def give_up_padding(self) -> bool:
        """Compute fewer rows than the class: they do not fit. Whether that changes anything."""
        was_padding, self._is_padding = self._is_padding, False
        return was_padding

    def pad_again(self) -> None:
        """It was not the padding that did not fit."""
        self._is_padding = True

    def image_rows(self, n: int, images_per_batch: int, probe: Probe) -> int:
        """Images to encode in one pass."""
        most = rounded(images_per_batch)
        return self._at_least(self.images.find(probe, most), n) or most

    def plans(
        self, n: int, images_per_batch: int, rows_per_image: int, probe: Probe
    ) -> Iterator[tuple[slice, RowPlan]]:
        """Cut `n` images into batches with their plans.

        Args:
            n: Images.
            images_per_batch: At most.
            rows_per_image: Candidates or beams.
            probe: See `RowClass.find`.
        """
        found = self.captions.find(probe, images_per_batch * rows_per_image)
        largest = max(found.counts, default=0) // rows_per_image
        most = min(images_per_batch, largest) or images_per_batch
        for first in range(0, n, most):
            images = min(n - first, most)
            yield slice(first, first + images), self._plan(found, images, most, rows_per_image)

    def _plan(self, found: Found, images: int, most: int, k: int) -> RowPlan:
        start, steps = (self._at_least(found, rows) for rows in (images, images * k))
        if start is None or steps is None:
            return filled_plan(most, k)
        return RowPlan(start, steps, lambda wanted, now: self._at_least(found, wanted) or now)

    def _at_least(self, found: Found, n: int) -> int | None:
        return at_least(found.counts, n) if self._is_padding else None


def _class_of(device: torch.device) -> Mapping[str, str]:
    """The device's class with its kernels of attention: captions are written with those pinned."""
    return {**device_class(device), **attention_class(device)}
