"""Batches that survive: a bad image costs itself only, and a batch that is too large is halved.

The captions are those that each image would get alone: rows of a batch do not influence each other
(`decoding.py`), so how images are spread over batches is free.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from recap_assets.engines.batch_sizes import BatchSize, free_memory, is_out_of_memory
from recap_assets.engines.decoding.captioner import CaptionModel, SamplingCaptioner, State
from recap_assets.engines.decoding.refusals import refusal_of
from recap_assets.engines.protocols import BATCH_MULTIPLE, Caption, Image
from recap_assets.engines.row_counts import RowCounts
from recap_assets.specs.decoding import Decoding

REJECTED = "image_rejected_by_processor"
NOT_FINITE = "not_finite"
OUT_OF_MEMORY = "out_of_memory"

_MANY = 1 << 20

WINDOW = 256
"""Images that are held prepared at a time."""

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

    Raises:
        ModelFileError: `decoding` asks for longer captions than the model has positions for.
    """

    def __init__(
        self, reader: Reader[P, S], decoding: Decoding, candidates: int, size: BatchSize
    ) -> None:
        self.reader = reader
        self.decoding = decoding
        self.candidates = candidates
        self.size = size
        self._counts = RowCounts()
        # How many rows an image takes is the decoding's to say.
        self._rows_per_image = _MANY // self._captioner([], decoding, _MANY).images_per_batch

    @property
    def model(self) -> Any:  # noqa: ANN401 - one of a dozen adapters
        """The adapter of the model."""
        return self.reader.model if isinstance(self.reader, FixedSizeReader) else self.reader

    @torch.inference_mode()
    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order.

        An image that the model cannot take gets `status` error: the processor rejected it, its
        logits are not finite, or it does not fit into memory even alone.

        Raises:
            FloatingPointError: A batch of eight or more gave nothing but logits that are not
                finite: then the precision is wrong, not the images.
            DeviceError: `batch_size` is `auto`, and not even one row fits.
        """
        if len(images) != len(uids):
            msg = f"{len(images)} images and {len(uids)} uids"
            raise ValueError(msg)
        captions = [self._lost(REJECTED)] * len(images)
        for first in range(0, len(images), WINDOW):
            window = range(first, min(first + WINDOW, len(images)))
            rows = [row for n in window if (row := self._row(n, images[n], uids[n]))]
            for batch in self._batches(rows):
                found = self._settled(batch)
                for row, texts in zip(batch, found, strict=True):
                    captions[row.number] = texts
        return captions

    def _row(self, number: int, image: Image, uid: bytes) -> _Row[P] | None:
        """The prepared image, or None where the processor does not take it."""
        try:
            return _Row(number, self.reader.prepare(image), uid)
        except Exception as error:
            # Processors answer an odd image with errors of many types: here it is data.
            if is_out_of_memory(error):
                raise
            return None

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
            rows = self.size.try_out(self._attempt, self.reader.device)
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
        return SamplingCaptioner(model, decoding, self.candidates, rows, self._counts)

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
            free_memory()
        is_smallest = len(batch) == 1
        if fault == OUT_OF_MEMORY and self._images_per_batch() > 1:
            self.size.halve()
            is_smallest = False
        if is_smallest:
            return [self._lost(fault)]
        half = (len(batch) + 1) // 2
        parts = [part for part in (batch[:half], batch[half:]) if part]
        return [captions for part in parts for captions in self._captions_of(part)]

    def _decoded(self, batch: Sequence[_Row[P]]) -> list[list[Caption]]:
        rows = self._images_per_batch() * self._rows_per_image
        captioner = self._captioner([row.prepared for row in batch], self.decoding, rows)
        captions = captioner.caption(_numbers(len(batch)), [row.uid for row in batch])
        if not self.reader.can_refuse:
            return captions
        return [[_judged(caption) for caption in candidates] for candidates in captions]

    def _lost(self, reason: str) -> list[Caption]:
        return [Caption("", "error", reason=reason)] * self.candidates


def _numbers(n: int) -> Any:  # noqa: ANN401 - numbers in place of images, see `Reader.batch`
    return range(n)


def _judged(caption: Caption) -> Caption:
    """The caption, marked where it is a refusal."""
    reason = refusal_of(caption.text)
    return caption if reason is None else replace(caption, status="refused", reason=reason)
