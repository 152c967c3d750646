"""From a captioning model to a `Captioner`: batches of images, and captions out of tokens."""

from collections.abc import Iterator, Sequence
from typing import Any, Generic

import torch
from torch import Tensor

from recap_assets.engines.decoding.beams import search_beams
from recap_assets.engines.decoding.caption_texts import caption_within, damage_of
from recap_assets.engines.decoding.guidance import Steps, steps_of
from recap_assets.engines.decoding.model import CaptionModel, S, State
from recap_assets.engines.decoding.on_device import PROBED_STEPS, OnDevice
from recap_assets.engines.decoding.one_by_one import OneByOne
from recap_assets.engines.decoding.row_plans import ProbedPlans, RowPlan, probe_of, unpadded_plan
from recap_assets.engines.decoding.sampling import TokenSampler
from recap_assets.engines.decoding.writing import Written, write_rows
from recap_assets.engines.devices import pinned_attention
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.protocols import Caption, CaptionStatus, Image
from recap_assets.engines.row_counts import RowCounts, example_pixels, filled
from recap_assets.specs.decoding import Decoding

__all__ = ["CaptionModel", "CaptionWriter", "SamplingCaptioner", "State"]

NO_OTHER_BEAM = "no_other_beam"
"""Why a candidate is missing: all beams that are left read like one that was taken."""


class CaptionWriter(Generic[S]):
    """Features of images to captions, by any strategy of decoding.

    Args:
        model: The model.
        decoding: How tokens are chosen.
        candidates: Captions of each image; at most `beams` where beams are searched.
        counts: What was found about the model before; with the same decoding.
        on_device: The same on a GPU; on a CPU None.

    Raises:
        ModelFileError: `decoding` asks for longer captions than the model has positions for, or
            for guidance of a model that cannot write without an image.
        ValueError: More candidates than beams.
    """

    def __init__(
        self,
        model: CaptionModel[S],
        decoding: Decoding,
        candidates: int,
        counts: RowCounts | None = None,
        on_device: OnDevice | None = None,
    ) -> None:
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
        self.counts = counts or RowCounts()
        if on_device is None and model.device.type != "cpu":
            on_device = OnDevice(model.device)
        self.on_device = on_device
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

        Raises:
            FloatingPointError: A row has no finite logit, as half precision may give.
        """
        captions: list[list[Caption]] = []
        for part, steps, plan in self._parts(features, len(uids), images_per_batch):
            captions += self._written(steps, features[part], uids[part], plan)
        return captions

    def _parts(
        self, features: Tensor, n: int, images_per_batch: int
    ) -> Iterator[tuple[slice, Steps[Any], RowPlan]]:
        """Which images are written together, by what, in how many rows."""
        k = self.rows_per_image
        if self.on_device is not None:
            n_steps = min(self.decoding.max_tokens - 1, PROBED_STEPS)
            probe = probe_of(self.steps, features[:1], self.model.vocabulary, n_steps)
            for part, plan in self.on_device.plans(n, images_per_batch, k, probe):
                yield part, self.steps, plan
            return
        plans = ProbedPlans(self.counts, self.steps, features[:1], k, self.model.vocabulary)
        if not plans.exist:
            steps = steps_of(OneByOne(self.model), self.decoding)
            yield slice(n), steps, unpadded_plan(n, k)
            return
        for part, plan in plans.parts(n, images_per_batch):
            yield part, self.steps, plan

    def _written(
        self, steps: Steps[Any], features: Tensor, uids: Sequence[bytes], plan: RowPlan
    ) -> list[list[Caption]]:
        features = filled(features, plan.start)
        if self.decoding.strategy == "beams":
            found = search_beams(steps, features, len(uids), self.decoding, self.model.eos, plan)
            return [self._different(beams) for beams in found]
        written = self._in_place(steps, features, uids, plan)
        if written is None:
            sampler = TokenSampler(
                self.decoding, uids, self.candidates, self.model.eos, self.model.vocabulary
            )
            written = write_rows(steps, features, sampler, plan)
        rows, k = [self._caption(row) for row in written], self.candidates
        return [rows[first : first + k] for first in range(0, len(rows), k)]

    def _in_place(
        self, steps: Steps[Any], features: Tensor, uids: Sequence[bytes], plan: RowPlan
    ) -> list[Written] | None:
        """Captions written without waiting for a GPU; None where they cannot be."""
        steady = self.on_device.steady if self.on_device else None
        if steady is None or not steady.suits(steps, self.decoding):
            return None
        return steady.write(steps, features, uids, self.candidates, self.decoding, plan)

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
        model: The model.
        decoding: How tokens are chosen, by any strategy.
        candidates: Captions of each image.
        batch_size: Rows decoded together, where a row is a candidate or a beam, and guidance takes
            two for each.
        counts: What was found about the model before; with the same decoding.
        on_device: The same on a GPU; on a CPU None.

    Raises:
        ModelFileError: The model cannot do what `decoding` asks for.
        ValueError: More candidates than beams.
    """

    def __init__(
        self,
        model: CaptionModel[S],
        decoding: Decoding,
        candidates: int,
        batch_size: int,
        counts: RowCounts | None = None,
        on_device: OnDevice | None = None,
    ) -> None:
        self.model = model
        self.writer = CaptionWriter(model, decoding, candidates, counts, on_device)
        rows = self.writer.rows_per_image * self.writer.steps.n_passes
        self.images_per_batch = max(1, batch_size // rows)

    @torch.inference_mode()
    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order."""
        captions: list[list[Caption]] = []
        with pinned_attention(self.model.device):
            for part in batches(images, uids, self.images_per_batch):
                features = self._encode(images[part])
                captions += self.writer.write(features, uids[part], self.images_per_batch)
        return captions

    def _encode(self, images: Sequence[Image]) -> Tensor:
        """Features of the images.

        The CPU takes the images one at a time: a vision tower fills it with a single image, larger
        batches only leave its caches, and no image can have a neighbour. On a GPU there are as many
        rows as were found to agree: the last is repeated.
        """
        device, on_device = self.model.device, self.writer.on_device
        if on_device is None:
            return torch.cat([self.model.encode(self.model.prepare(one)[None]) for one in images])
        pixels = torch.stack(
            [self.model.prepare(image).to(device, non_blocking=True) for image in images]
        )

        def probe(numbers: Tensor) -> Iterator[Tensor]:
            examples = example_pixels(pixels[0].cpu())[numbers].to(device)
            yield self.model.encode(examples)

        n = on_device.image_rows(len(images), self.images_per_batch, probe)
        return self.model.encode(filled(pixels, n))


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
