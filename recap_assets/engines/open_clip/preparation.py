"""The images of a batch made ready for a model while it computes another, in threads or on the GPU.

On a GPU decoded images go up as they are, from pinned memory and on a stream of their own, and are
resized, cropped and normalised there: the same pixels and, by a table of the 256 levels, the same
numbers as on the CPU.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from recap_assets.engines.batch_sizes import free_memory, is_out_of_memory
from recap_assets.engines.open_clip.following import Followed
from recap_assets.engines.open_clip.pixels import PixelTransform, without_ends
from recap_assets.engines.open_clip.resampling import resample
from recap_assets.engines.protocols import Image

Ready = Callable[[], Tensor]
"""Waits for a batch: pixels as the model takes them, of shape (n, 3, height, width)."""


class Preparation(Protocol):
    """Makes images ready."""

    def begin(self, images: Sequence[Image]) -> Ready:
        """Begin with a batch of one image at least."""
        ...


def preparation_of(
    transform: PixelTransform, device: torch.device, dtype: torch.dtype
) -> Preparation:
    """The fastest exact preparation for a model on a device."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1, "resize")
    threads = InThreads(transform, pool)
    if device.type == "cuda" and transform.followed is not None:
        return OnDevice(transform, transform.followed, device, dtype, pool, threads)
    return threads


class InThreads:
    """Resizing by Pillow, image by image in threads; float32 on the CPU."""

    def __init__(self, transform: PixelTransform, pool: Executor) -> None:
        self._transform, self._pool = transform, pool

    def begin(self, images: Sequence[Image]) -> Ready:
        """Begin to resize; normalised by who waits."""
        resized = self._pool.map(self._transform.resize, images)
        return lambda: self._transform.normalize(np.stack(list(resized)))


class OnDevice:
    """Resizing and normalisation on a device; what it has no memory for is done by Pillow.

    Args:
        transform: Of the model.
        how: Its resizing.
        device: Where.
        dtype: What the model takes.
        pool: For copies.
        otherwise: What prepares a batch where memory ran out, with the same result.
    """

    def __init__(
        self,
        transform: PixelTransform,
        how: Followed,
        device: torch.device,
        dtype: torch.dtype,
        pool: Executor,
        otherwise: Preparation,
    ) -> None:
        self._how, self._device, self._pool, self._otherwise = how, device, pool, otherwise
        self._levels = levels(transform).to(device, dtype)
        self._ahead = ThreadPoolExecutor(1, "prepare")
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def begin(self, images: Sequence[Image]) -> Ready:
        """Begin to upload and to resize."""
        future = self._ahead.submit(self._within_memory, images)

        def ready() -> Tensor:
            if (pixels := future.result()) is not None:
                return self._handed_over(pixels)
            free_memory()
            return self._otherwise.begin(images)()

        return ready

    def _handed_over(self, pixels: Tensor) -> Tensor:
        if self._stream is not None:
            pixels.record_stream(torch.cuda.current_stream(self._device))
        return pixels

    def _within_memory(self, images: Sequence[Image]) -> Tensor | None:
        """The pixels; None where memory ran out.

        No error is handed over for that: its traceback would keep what the batch has on the device.
        """
        try:
            return self._prepared(images)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        return None

    @torch.inference_mode()
    def _prepared(self, images: Sequence[Image]) -> Tensor:
        with torch.cuda.stream(self._stream):
            cut = [without_ends(image) for image in images]
            plans = [self._how.plan(*image.shape[:2]) for image in cut]
            pixels = self._uploaded(cut)
            made = normalised(
                resample(pixels, plans, self._how.size, self._how.kernel), self._levels
            )
        if self._stream is not None:
            self._stream.synchronize()
        return made

    def _uploaded(self, images: Sequence[Image]) -> Tensor:
        """The images one after the other on the device, shape (pixels of all, 3)."""
        ends = np.cumsum([image.shape[0] * image.shape[1] for image in images])
        staged = torch.empty(
            (int(ends[-1]), 3), dtype=torch.uint8, pin_memory=self._device.type == "cuda"
        )
        room = staged.numpy()

        def put(number: int) -> None:
            image, end = images[number], int(ends[number])
            target = room[end - image.shape[0] * image.shape[1] : end]
            np.copyto(target.reshape(image.shape), image)

        list(self._pool.map(put, range(len(images))))
        return staged.to(self._device, non_blocking=True)


def levels(transform: PixelTransform) -> Tensor:
    """What each level of each channel becomes, float32 of shape (3, 256)."""
    ramp = np.arange(256, dtype=np.uint8)[:, None, None, None]
    return transform.normalize(np.broadcast_to(ramp, (256, 1, 1, 3))).view(256, 3).T.contiguous()


def normalised(pixels: Tensor, table: Tensor) -> Tensor:
    """Pixels (n, height, width, 3), uint8, by a table of their levels: (n, 3, height, width)."""
    first = torch.arange(3, device=pixels.device)[:, None, None] * table.shape[1]
    return table.view(-1)[pixels.permute(0, 3, 1, 2).long() + first]
