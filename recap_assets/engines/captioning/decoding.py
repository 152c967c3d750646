"""From a captioning model to a `Captioner`: batches of images, and captions out of tokens."""

from collections.abc import Iterator, Sequence
from typing import Any, Generic

import torch
from torch import Tensor

from recap_assets.engines.captioning.beams import search_beams
from recap_assets.engines.captioning.caption_texts import caption_within, damage_of
from recap_assets.engines.captioning.guidance import Steps, steps_of
from recap_assets.engines.captioning.model import CaptionModel, S, State
from recap_assets.engines.captioning.sampling import TokenSampler
from recap_assets.engines.captioning.writing import Written, write_rows
from recap_assets.engines.devices import padded_count
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.protocols import Caption, CaptionStatus, Image
from recap_assets.specs.decoding import Decoding

__all__ = ["CaptionModel", "CaptionWriter", "SamplingCaptioner", "State"]

NO_OTHER_BEAM = "no_other_beam"
"""Why a candidate is missing: all beams that are left read like one that was taken."""


class CaptionWriter(Generic[S]):
    """Features of images to captions, by any strategy of decoding.

    Args:
        model: The model; its bits must not depend on neighbours within a padded batch.
        decoding: How tokens are chosen.
        candidates: Captions of each image; at most `beams` where beams are searched.

    Raises:
        ModelFileError: `decoding` asks for longer captions than the model has positions for, or
            for guidance of a model that cannot write without an image.
        ValueError: More candidates than beams.
    """

    def __init__(self, model: CaptionModel[S], decoding: Decoding, candidates: int) -> None:
        if decoding.max_tokens > model.room:
            msg = (
                f"max_tokens is {decoding.max_tokens}: this model writes at most {model.room} "
                "tokens after its prompt; lower max_tokens"
            )
            raise ModelFileError(msg)
        if decoding.strategy == "beams" and candidates > decoding.beams:
            msg = f"candidates is {candidates}, and {decoding.beams} beams give no more captions"
            raise ValueError(msg)
        self.model = model
        self.decoding = decoding
        self.candidates = candidates
        self.rows_per_image = max(candidates, decoding.beams)
        # With guidance the state is another one than the model's.
        self.steps: Steps[Any] = steps_of(model, decoding)

    def write(
        self, features: Tensor, uids: Sequence[bytes], images_per_batch: int
    ) -> list[list[Caption]]:
        """The candidates of each image.

        Args:
            features: Shape (n, tokens, width), of at least one row for each uid: the rest pads.
            uids: One per image.
            images_per_batch: Images of a full batch, to which a GPU's batches are filled.
        """
        full = images_per_batch * self.rows_per_image
        if self.decoding.strategy == "beams":
            found = search_beams(
                self.steps, features, len(uids), self.decoding, self.model.eos, full
            )
            return [self._different(beams) for beams in found]
        sampler = TokenSampler(
            self.decoding, uids, self.candidates, self.model.eos, self.model.vocabulary
        )
        rows = [self._caption(row) for row in write_rows(self.steps, features, sampler, full)]
        k = self.candidates
        return [rows[first : first + k] for first in range(0, len(rows), k)]

    def _caption(self, written: Written) -> Caption:
        n = len(written.tokens)
        is_cut = n == self.decoding.max_tokens
        text = caption_within(self.model.text(written.tokens))
        reason = damage_of(text, is_cut=is_cut)
        status: CaptionStatus = "truncated" if is_cut else "ok"
        if not text or reason:
            status = "degenerate" if reason else "empty"
        return Caption(text, status, written.log_probability, n, reason)

    def _different(self, beams: Sequence[Written]) -> list[Caption]:
        """The best beams that read differently: groups may end with the same caption."""
        by_text: dict[str, Caption] = {}
        for caption in map(self._caption, beams):
            by_text.setdefault(caption.text, caption)
        found = list(by_text.values())[: self.candidates]
        missing = Caption("", "error", reason=NO_OTHER_BEAM)
        return found + [missing] * (self.candidates - len(found))


class SamplingCaptioner(Generic[S]):
    """Captions in batches, the same for an image whatever the batch, the order or the shard.

    Args:
        model: The model; its bits must not depend on neighbours within a padded batch.
        decoding: How tokens are chosen, by any strategy.
        candidates: Captions of each image.
        batch_size: Rows decoded together, where a row is a candidate or a beam, and guidance takes
            two for each.

    Raises:
        ModelFileError: The model cannot do what `decoding` asks for.
        ValueError: More candidates than beams.
    """

    def __init__(
        self, model: CaptionModel[S], decoding: Decoding, candidates: int, batch_size: int
    ) -> None:
        self.model = model
        self.writer = CaptionWriter(model, decoding, candidates)
        rows = self.writer.rows_per_image * self.writer.steps.n_passes
        self.images_per_batch = max(1, batch_size // rows)

    @torch.inference_mode()
    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order."""
        captions: list[list[Caption]] = []
        for part in batches(images, uids, self.images_per_batch):
            features = self._encode(images[part])
            captions += self.writer.write(features, uids[part], self.images_per_batch)
        return captions

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


def batches(images: Sequence[Image], uids: Sequence[bytes], size: int) -> Iterator[slice]:
    """Parts of at most `size` images.

    Raises:
        ValueError: There is not one uid for each image.
    """
    if len(images) != len(uids):
        msg = f"{len(images)} images and {len(uids)} uids"
        raise ValueError(msg)
    for first in range(0, len(images), size):
        yield slice(first, first + size)
