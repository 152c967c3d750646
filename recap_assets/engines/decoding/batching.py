"""Batches that survive: a bad image costs itself only, and a batch that is too large is halved.

The captions are those that each image would get alone: rows of a batch do not influence each other
(`decoding.py`), so how images are spread over batches is free.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from recap_assets.engines.batch_sizes import BatchSize, free_memory, is_out_of_memory
from recap_assets.engines.decoding.captioner import CaptionModel, SamplingCaptioner, State
from recap_assets.engines.decoding.on_device import OnDevice
from recap_assets.engines.decoding.preparing import Preparing
from recap_assets.engines.decoding.refusals import refusal_of
from recap_assets.engines.protocols import BATCH_MULTIPLE, Caption, Device, Image
from recap_assets.engines.row_counts import RowCounts
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.running import AUTO_ROWS, AUTO_ROWS_ON_GPU

REJECTED = "image_rejected_by_processor"
NOT_FINITE = "not_finite"
OUT_OF_MEMORY = "out_of_memory"

_MANY = 1 << 20

WINDOW = 256
"""Images that a CPU holds prepared at a time; a GPU as many as a batch takes, if those are more."""

P = TypeVar("P")
S = TypeVar("S", bound=State)


class Reader(Protocol[P, S]):
    """A model, as what prepares images one by one and then reads batches of them."""

    device: torch.device
    can_refuse: bool
    """Whether it may answer with a refusal instead of a caption."""

    def prepare(self, image: Image) -> P:
        """The image as the model takes it; raises where it takes none like this."""
        ...

    def length(self, prepared: P) -> int:
        """Tokens of the prompt, the image's included; only equal ones share a batch."""
        ...

    def batch(self, prepared: Sequence[P]) -> CaptionModel[S]:
        """The model for these images: its `prepare` takes their numbers instead of pixels."""
        ...


class FixedSizeReader(Generic[S]):
    """Any model that turns every image into pixels of one shape, and the same prompt for all."""

    can_refuse = False

    def __init__(self, model: CaptionModel[S]) -> None:
        self.model = model
        self.device = model.device

    def prepare(self, image: Image) -> Tensor:
        """The model's own."""
        return self.model.prepare(image)

    def length(self, prepared: Tensor) -> int:  # noqa: ARG002 - one shape for all
        """The same for all."""
        return 0

    def batch(self, prepared: Sequence[Tensor]) -> CaptionModel[S]:
        """The model, but that its images are prepared already."""
        numbered: Any = copy(self.model)
        numbered.prepare = prepared.__getitem__
        return numbered


class _Row(NamedTuple, Generic[P]):
    number: int
    prepared: P
    uid: bytes


class BatchingCaptioner(Generic[P, S]):
    """Captions in batches that fit, each image the caption that it would get alone.

    Args:
        reader: The model.
        decoding: How tokens are chosen.
        candidates: Captions of each image; an image's candidates are decoded together.
        size: Rows decoded together, where a row is a candidate.
        on_device: What is known of the model on a GPU; by default found out there.

    Raises:
        ModelFileError: `decoding` asks for longer captions than the model has positions for.
    """

    def __init__(
        self,
        reader: Reader[P, S],
        decoding: Decoding,
        candidates: int,
        size: BatchSize,
        on_device: OnDevice | None = None,
    ) -> None:
        self.reader = reader
        self.decoding = decoding
        self.candidates = candidates
        self.size = size
        if on_device is None and reader.device.type != "cpu":
            passes = 1 if decoding.guidance_scale == 1 else 2
            on_device = OnDevice(reader.device, size.load, passes, size.row_classes)
        self.on_device = on_device
        # By the reader alone: what refers back to its owner stays in memory after it is let go.
        prepare = partial(_prepared, reader)
        # A tokenizer takes no two threads; pixels need none.
        is_ahead = on_device is not None and isinstance(reader, FixedSizeReader)
        self._preparing = Preparing(prepare, reader.device if is_ahead else None)
        self._counts = RowCounts()
        # How many rows an image takes is the decoding's to say.
        self._rows_per_image = _MANY // self._captioner([], decoding, _MANY).images_per_batch

    @property
    def model(self) -> Any:  # noqa: ANN401 - one of a dozen adapters
        """The adapter of the model."""
        return self.reader.model if isinstance(self.reader, FixedSizeReader) else self.reader

    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order.

        An image that the model cannot take gets `status` error: the processor rejected it, its
        logits are not finite, or it does not fit into memory even alone.

        Raises:
            FloatingPointError: A batch of eight or more gave nothing but logits that are not
                finite: then the precision is wrong, not the images.
            DeviceError: `batch_size` is `auto`, and not even one row fits.
        """
        return self.begin(images, uids)()

    @property
    def batches_ahead(self) -> int:
        """Batches to `begin` beside the one that is captioned: none on a CPU, which is busy."""
        return 0 if self.on_device is None else 1

    @property
    def at_once(self) -> int:
        """Images of one batch."""
        return self.size.rows or (AUTO_ROWS if self.on_device is None else AUTO_ROWS_ON_GPU)

    def made_on(self) -> Device:
        """What it computed with, and where a caption is the same again."""
        return Device() if self.on_device is None else self.on_device.described()

    def begin(
        self, images: Sequence[Image], uids: Sequence[bytes]
    ) -> Callable[[], list[list[Caption]]]:
        """Prepare the images, in other threads if they are for a GPU; what is given captions them.

        Raises:
            ValueError: There is not one uid for each image.
        """
        if len(images) != len(uids):
            msg = f"{len(images)} images and {len(uids)} uids"
            raise ValueError(msg)
        prepared = self._preparing.begin(images)
        return lambda: self._captioned(prepared, uids)

    @torch.inference_mode()
    def _captioned(
        self, prepared: Iterator[P | None], uids: Sequence[bytes]
    ) -> list[list[Caption]]:
        captions = [self._lost(REJECTED)] * len(uids)
        window = WINDOW if self.on_device is None else max(WINDOW, self._images_per_batch())
        for first in range(0, len(uids), window):
            numbers = range(first, min(first + window, len(uids)))
            found = zip(numbers, islice(prepared, len(numbers)), strict=True)
            rows = [_Row(n, one, uids[n]) for n, one in found if one is not None]
            for batch in self._batches(rows):
                texts = self._settled(batch)
                for row, candidates in zip(batch, texts, strict=True):
                    captions[row.number] = candidates
        return captions

    def _batches(self, rows: Sequence[_Row[P]]) -> Iterator[list[_Row[P]]]:
        """Rows of equal length, by the size that is current when they are asked for."""
        by_length: dict[int, list[_Row[P]]] = {}
        for row in rows:
            by_length.setdefault(self.reader.length(row.prepared), []).append(row)
        for same in by_length.values():
            first = 0
            while first < len(same):
                n = self._images_per_batch()
                yield same[first : first + n]
                first += n

    def _images_per_batch(self) -> int:
        rows = self.size.rows
        if rows is None:
            rows = self.size.try_out(self._attempt, self.reader.device, self._free)
        return max(1, rows // self._rows_per_image)

    def _attempt(self, rows: int) -> None:
        """As much memory as `rows` captions can take: all of the longest, of a large image."""
        grey = self.reader.prepare(np.full((768, 768, 3), 127, np.uint8))
        limit = self.decoding.max_tokens
        decoding = self.decoding.model_copy(update={"min_tokens": limit})
        n = max(1, rows // self._rows_per_image)
        self._captioner([grey] * n, decoding, rows).caption(_numbers(n), [bytes(16)] * n)

    def _captioner(
        self, prepared: Sequence[P], decoding: Decoding, rows: int
    ) -> SamplingCaptioner[S]:
        model = self.reader.batch(prepared)
        return SamplingCaptioner(
            model, decoding, self.candidates, rows, self._counts, self.on_device
        )

    def _settled(self, batch: Sequence[_Row[P]]) -> list[list[Caption]]:
        """The captions of a batch; a size that had to be halved is kept if it was to blame."""
        before = self.size.rows
        captions = self._captions_of(batch)
        reasons = [candidates[0].reason for candidates in captions]
        if len(batch) >= BATCH_MULTIPLE and set(reasons) == {NOT_FINITE}:
            msg = "the model gave logits that are not finite for a whole batch: try precision "
            raise FloatingPointError(msg + "bfloat16 or float32")
        if self.size.rows != before:
            if OUT_OF_MEMORY in reasons:
                # One image alone was too large: that says nothing about the others.
                self.size.rows = before
            elif self.size.rows is not None:
                self.size.keep(self.size.rows)
        return captions

    def _captions_of(self, batch: Sequence[_Row[P]]) -> list[list[Caption]]:
        """Captions of the batch, or of its halves where it does not go as a whole."""
        fault = NOT_FINITE
        try:
            return self._decoded(batch)
        except FloatingPointError:
            pass
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            fault = OUT_OF_MEMORY
        # Outside of the handler, whose traceback keeps the tensors of the batch alive.
        if fault == OUT_OF_MEMORY:
            self._free()
        is_smallest = len(batch) == 1
        if fault == OUT_OF_MEMORY and self._images_per_batch() > 1:
            self.size.halve()
            is_smallest = False
        if is_smallest:
            return self._alone(batch, fault)
        half = (len(batch) + 1) // 2
        parts = [part for part in (batch[:half], batch[half:]) if part]
        return [captions for part in parts for captions in self._captions_of(part)]

    def _free(self) -> None:
        """Give back what a failed batch held, and the room that it was to be written in."""
        if self.on_device is not None:
            self.on_device.release()
        free_memory()

    def _alone(self, batch: Sequence[_Row[P]], fault: str) -> list[list[Caption]]:
        """What becomes of an image that failed by itself.

        On a GPU it was one of a number of rows that agree with others. If those do not fit, fewer
        may: then a caption is the same for one batch size only, and is said to be.
        """
        on_device = self.on_device
        if fault != OUT_OF_MEMORY or on_device is None or not on_device.give_up_padding():
            return [self._lost(fault)]
        captions = self._captions_of(batch)
        if captions[0][0].reason == OUT_OF_MEMORY:
            on_device.pad_again()
        return captions

    def _decoded(self, batch: Sequence[_Row[P]]) -> list[list[Caption]]:
        rows = self._images_per_batch() * self._rows_per_image
        captioner = self._captioner([row.prepared for row in batch], self.decoding, rows)
        captions = captioner.caption(_numbers(len(batch)), [row.uid for row in batch])
        if not self.reader.can_refuse:
            return captions
        return [[_judged(caption) for caption in candidates] for candidates in captions]

    def _lost(self, reason: str) -> list[Caption]:
        return [Caption("", "error", reason=reason)] * self.candidates


def _prepared(reader: Reader[P, S], image: Image) -> P | None:
    """The prepared image, or None where the processor does not take it."""
    try:
        return reader.prepare(image)
    except Exception as error:
        # Processors answer an odd image with errors of many types: here it is data.
        if is_out_of_memory(error):
            raise
        return None


def _numbers(n: int) -> Any:  # noqa: ANN401 - numbers in place of images, see `Reader.batch`
    return range(n)


def _judged(caption: Caption) -> Caption:
    """The caption, marked where it is a refusal."""
    reason = refusal_of(caption.text)
    return caption if reason is None else replace(caption, status="refused", reason=reason)
