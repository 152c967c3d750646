"""From a captioning model to a `Captioner`: batches, the decoding loop, dropping finished rows."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from recap_assets.engines.captioning.sampling import TokenSampler
from recap_assets.engines.devices import padded_count
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.protocols import Caption, Image
from recap_assets.specs.decoding import Decoding

_COMPACT_BELOW = 0.75
"""Finished rows are dropped when the rest, padded, is less than this share of what is computed:
each time copies the whole key-value cache."""


class State(Protocol):
    """What a model keeps between two tokens, for every row of the batch."""

    def select(self, rows: Tensor) -> None:
        """Keep `rows`, in that order; a row may be named more than once."""
        ...


S = TypeVar("S", bound=State)


class CaptionModel(Protocol[S]):
    """A model that writes a caption token by token."""

    device: torch.device
    eos: Sequence[int]
    vocabulary: int
    room: int
    """Most tokens of a caption that the model has positions for."""

    def prepare(self, image: Image) -> Tensor:
        """The image as the model takes it, float32 of shape (3, height, width)."""
        ...

    def encode(self, pixels: Tensor) -> Tensor:
        """Features of shape (n, tokens, width) of prepared images, shape (n, 3, height, width)."""
        ...

    def start(self, features: Tensor) -> tuple[Tensor, S]:
        """Logits of the first token, float32 of shape (n, vocabulary), and the state after it."""
        ...

    def step(self, tokens: Tensor, state: S) -> Tensor:
        """Logits of the token after `tokens`, float32 of shape (n, vocabulary)."""
        ...

    def text(self, tokens: list[int]) -> str:
        """The text of a caption without its end mark."""
        ...


@runtime_checkable
class GuidableModel(Protocol):
    """What a `CaptionModel` has besides where it can write without seeing the image.

    Classifier-free guidance needs it (`guidance_scale`); a model without it is refused there.
    """

    def unconditional(self, features: Tensor) -> Tensor:
        """Features of "no image", of the shape and type of `features`, for `start`.

        Say in the docstring what they are and whether the model was trained with them.
        """
        ...


@runtime_checkable
class ReorderableState(Protocol):
    """What a `State` may have besides, so that beams copy only what differs among them."""

    def reorder(self, rows: Tensor) -> None:
        """`select` for rows that all stay with their image: what is the image's may stay put."""
        ...


class SamplingCaptioner(Generic[S]):
    """Captions in batches, the same for an image whatever the batch, the order or the shard.

    Args:
        model: The model; its bits must not depend on neighbours within a padded batch.
        decoding: How tokens are chosen.
        candidates: Captions of each image.
        batch_size: Rows decoded together, where a row is a candidate.

    Raises:
        ModelFileError: `decoding` asks for longer captions than the model has positions for.
    """

    def __init__(
        self, model: CaptionModel[S], decoding: Decoding, candidates: int, batch_size: int
    ) -> None:
        if decoding.max_tokens > model.room:
            msg = (
                f"max_tokens is {decoding.max_tokens}: this model writes at most {model.room} "
                "tokens after its prompt; lower max_tokens"
            )
            raise ModelFileError(msg)
        self.model = model
        self.decoding = decoding
        self.candidates = candidates
        self.images_per_batch = max(1, batch_size // candidates)

    @torch.inference_mode()
    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order."""
        if len(images) != len(uids):
            msg = f"{len(images)} images and {len(uids)} uids"
            raise ValueError(msg)
        size, captions = self.images_per_batch, []
        for first in range(0, len(images), size):
            part = slice(first, first + size)
            captions += self._caption_batch(images[part], uids[part])
        return captions

    def _caption_batch(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        features = self._encode(images)
        sampler = TokenSampler(
            self.decoding, uids, self.candidates, self.model.eos, self.model.vocabulary
        )
        rows = self._write(features, sampler)
        k = self.candidates
        return [rows[first : first + k] for first in range(0, len(rows), k)]

    def _encode(self, images: Sequence[Image]) -> Tensor:
        """Features of the images, padded to the rows to compute by repeating the last.

        The CPU takes the images one at a time: a vision tower fills it with a single image, larger
        batches only leave its caches, and no image can have a neighbour.
        """
        device = self.model.device
        n = padded_count(len(images), self.images_per_batch, device)
        if device.type == "cpu":
            parts = [self.model.encode(self.model.prepare(image)[None]) for image in images]
            return torch.cat(parts + parts[-1:] * (n - len(parts)))
        pixels = [self.model.prepare(image) for image in images]
        pixels += pixels[-1:] * (n - len(pixels))
        return self.model.encode(torch.stack(pixels).to(device))

    def _write(self, features: Tensor, sampler: TokenSampler) -> list[Caption]:
        """Write the captions of a batch.

        `captions` are those that are not finished, `at` the rows of the batch that hold them.
        """
        device, limit = features.device, self.decoding.max_tokens
        written: list[list[int]] = [[] for _ in range(sampler.n_rows)]
        totals = torch.zeros(sampler.n_rows, dtype=torch.float64)
        captions = torch.arange(sampler.n_rows, device=device)
        logits, state = self.model.start(features)
        n = padded_count(sampler.n_rows, self.images_per_batch * self.candidates, device)
        at = _spread(captions // self.candidates, n)
        if not torch.equal(at, torch.arange(len(logits), device=device)):
            state.select(at)
            logits = logits[at]
        at = captions
        eos = torch.tensor(self.model.eos, device=device)
        for position in range(limit):
            ids, log_probs = sampler.choose(logits[at], position, captions)
            totals[captions.cpu()] += log_probs.double().cpu()
            alive = ~torch.isin(ids, eos)
            captions, at, ids = captions[alive], at[alive], ids[alive]
            for caption, token in zip(captions.tolist(), ids.tolist(), strict=True):
                written[caption].append(token)
            if not len(captions) or position + 1 == limit:
                break
            n = padded_count(len(captions), len(logits), device)
            if n <= _COMPACT_BELOW * len(logits):
                state.select(_spread(at, n))
                at = torch.arange(len(captions), device=device)
            else:
                n = len(logits)
            tokens = torch.full((n,), int(ids[0]), device=device)
            tokens[at] = ids
            logits = self.model.step(tokens, state)
        return [
            Caption.decoded(
                self.model.text(tokens), float(total), len(tokens), truncated=len(tokens) == limit
            )
            for tokens, total in zip(written, totals.tolist(), strict=True)
        ]


def _spread(rows: Tensor, n: int) -> Tensor:
    """`rows` with its last one repeated up to length n."""
    return torch.cat([rows, rows[-1:].expand(n - len(rows))])
