"""Training of a CLIP: a fixed number of samples seen, contrastive loss, and resumable."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recap_assets.specs.base import fingerprint_of
from recap_assets.specs.losses import Contrastive, Loss, TwoStage
from recap_assets.specs.models import Optimizer, Tower
from recap_assets.training.engine.augmentation import brightness, rolled
from recap_assets.training.engine.checkpoints import read_checkpoint, write_checkpoint
from recap_assets.training.engine.curve import Curve, CurvePoint
from recap_assets.training.engine.draws import stream
from recap_assets.training.engine.losses import (
    contrastive_loss,
    margin_loss,
    margins_of,
    several_positives_loss,
)
from recap_assets.training.engine.optimizers import ScheduledOptimizer
from recap_assets.training.engine.pairs import PairOrder, TrainingPairs
from recap_assets.training.engine.trainee import Trainee
from recap_assets.training.engine.trainees import make_trainee

MAX_LOGIT_SCALE = float(np.log(100.0))
_CONTRASTIVE = Contrastive()


@dataclass(frozen=True)
class TrainedClipModel:
    """A CLIP after its run."""

    trainee: Trainee
    curve: list[CurvePoint]

    def save(self, directory: Path) -> None:
        """Write the model: the small layout, or open_clip's folder for an open_clip tower."""
        self.trainee.save(directory)


class _Batch(NamedTuple):
    """Images and the texts that go with them; `shares` where an image may have several."""

    images: Tensor
    tokens: Tensor
    owners: Tensor
    shares: Tensor | None


def copy_of(model: nn.Module) -> nn.Module:
    """A model as it is now, that learns no more."""
    return deepcopy(model).eval().requires_grad_(requires_grad=False)


class _WithTags(nn.Module):
    """The model and, in training only, a head that predicts a text's tokens from the image."""

    def __init__(self, model: nn.Module, n_tags: int, embedding_dim: int) -> None:
        super().__init__()
        self.clip = model
        self.tag_head = nn.Linear(embedding_dim, n_tags) if n_tags else None


def train_clip(  # noqa: PLR0913 - a run has that many settings, keyword-only but three
    pairs: TrainingPairs,
    tower: Tower,
    optimizer: Optimizer,
    *,
    samples_seen: int,
    batch_size: int,
    seed: int,
    tag_loss: float = 0.0,
    loss: Loss = _CONTRASTIVE,
    all_positives: bool = False,
    checkpoint: Path | None = None,
    checkpoint_every: int = 50_000,
    on_progress: Callable[[int, float], None] | None = None,
    on_point: Callable[[CurvePoint], None] = lambda _point: None,
    device: str | torch.device = "cpu",
    amp: torch.dtype | None = None,
) -> TrainedClipModel:
    """Train a CLIP on `pairs` with a fixed budget, whatever their number (DataComp's rule).

    Args:
        pairs: What to learn from. Order and draws are a function of `seed`.
        tower: The architecture.
        optimizer: Rates and schedule.
        samples_seen: Pairs seen in all, rounded up to whole batches.
        batch_size: Pairs of one step.
        seed: Of weights, order and augmentation.
        tag_loss: Weight of the loss that predicts a text's tokens from the image; small towers
            only.
        loss: What is made small.
        all_positives: Whether each image is trained on with all its texts at once, and not with one
            that is drawn.
        checkpoint: A file that holds the run's state. Where it exists and belongs to this very
            run, training continues from it: on a CPU to the same final weights, on a GPU to close
            ones, where kernels may sum gradients in any order. A damaged one is set aside.
            The caller deletes it after saving the model.
        checkpoint_every: Pairs seen between checkpoints.
        on_progress: Called after each step with the pairs seen and the loss.
        on_point: Called with each new point of the curve.
        device: A torch device.
        amp: What the towers compute in where torch's automatic mixed precision does so; weights,
            embeddings and losses are float32 in any case. None computes all in float32.

    Raises:
        ValueError: The images are of another size than the tower takes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed) >> 1)
        run = _ClipRun(
            pairs, tower, optimizer, samples_seen, batch_size, seed, tag_loss, torch.device(device)
        )
        run.learn_by(loss, all_positives=all_positives)
        run.compute_in(amp)
        run.curve.on_point = on_point
        first = run.resume(checkpoint) if checkpoint else 0
        for step in range(first, run.steps):
            lost = run.step(step)
            seen = (step + 1) * batch_size
            due = seen // checkpoint_every > step * batch_size // checkpoint_every
            if checkpoint and due and step + 1 < run.steps:
                run.write(checkpoint, step + 1)
            if on_progress:
                on_progress(seen, lost)
    run.trainee.model.eval()
    return TrainedClipModel(run.trainee, run.curve.points)


class _ClipRun:
    def __init__(
        self,
        pairs: TrainingPairs,
        tower: Tower,
        optimizer: Optimizer,
        samples_seen: int,
        batch_size: int,
        seed: int,
        tag_loss: float,
        device: torch.device,
    ) -> None:
        self.pairs, self.batch_size, self.seed = pairs, batch_size, seed
        self.tag_loss, self.device = tag_loss, device
        self.steps = -(-samples_seen // batch_size)
        height, width = pairs.images.shape[1:3]
        self.trainee = make_trainee(tower, pairs.texts, (height, width))
        if tag_loss and not self.trainee.n_tags:
            msg = "tag_loss needs a small tower: an open_clip tower has no tokens of its own"
            raise ValueError(msg)
        model = self.trainee.model.to(device)
        n_tags = self.trainee.n_tags if tag_loss else 0
        self.module = _WithTags(model, n_tags, self.trainee.embedding_dim).to(device)
        self.optimizer = ScheduledOptimizer(self.module, optimizer, self.steps)
        self.order = PairOrder(pairs, seed)
        self.tokens = self.trainee.tokenize(pairs.texts)
        self.curve = Curve(self.steps, batch_size)
        self.identity = fingerprint_of(
            tower, optimizer, self.steps, batch_size, seed, tag_loss, pairs.content_hash()
        )
        self.loss: Loss = _CONTRASTIVE
        self.all_positives = False
        self.amp: torch.dtype | None = None
        self.first: nn.Module | None = None

    def learn_by(self, loss: Loss, *, all_positives: bool) -> None:
        """Say what is made small, before the first step."""
        if loss == _CONTRASTIVE and not all_positives:
            return
        if all_positives and isinstance(loss, TwoStage):
            msg = "the two-stage loss takes one text an image: leave `positives` at `one`"
            raise ValueError(msg)
        self.loss, self.all_positives = loss, all_positives
        self.identity = fingerprint_of(self.identity, loss, all_positives)

    def compute_in(self, amp: torch.dtype | None) -> None:
        """Say what the towers compute in, before the first step."""
        if amp is not None:
            self.amp = amp
            self.identity = fingerprint_of(self.identity, str(amp))

    def _outputs(self, model: nn.Module, batch: "_Batch") -> Mapping[str, Tensor]:
        if self.amp is None:
            return model(batch.images, batch.tokens)
        with torch.autocast(self.device.type, self.amp):
            outputs = model(batch.images, batch.tokens)
        return {name: value.float() for name, value in outputs.items()}

    def step(self, step: int) -> float:
        """One update; the contrastive loss before it."""
        torch.manual_seed(stream(self.seed, step) >> 1)
        self.module.train()
        batch = self._batch(step)
        outputs = self._outputs(self.module.clip, batch)
        contrastive = self._loss(step, batch, outputs)
        total = contrastive
        if self.module.tag_head is not None:
            features = outputs["image_features"][batch.owners]
            total = total + self.tag_loss * self._tag_loss(features, batch.tokens)
        total.backward()
        self.optimizer.step(step)
        with torch.no_grad():
            self.module.clip.logit_scale.clamp_(0, MAX_LOGIT_SCALE)  # type: ignore[operator]
        loss = float(contrastive.detach())
        self.curve.add(step, loss, self.optimizer.factor(step))
        return loss

    def _loss(self, step: int, batch: "_Batch", outputs: Mapping[str, Tensor]) -> Tensor:
        if batch.shares is not None:
            return several_positives_loss(**outputs, owners=batch.owners, shares=batch.shares)
        if not isinstance(self.loss, TwoStage) or step < round(self.loss.first * self.steps):
            return contrastive_loss(**outputs)
        if self.first is None:
            self.first = copy_of(self.module.clip)
        with torch.no_grad():
            known = self._outputs(self.first, batch)
            features = known["image_features"], known["text_features"]
            margins = margins_of(*features, self.loss.strength)
        return margin_loss(**outputs, margins=margins)

    def _batch(self, step: int) -> "_Batch":
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        if self.all_positives:
            chosen, owners, shares = self.order.texts_at(int(positions[0]), self.batch_size)
            first = np.flatnonzero(np.diff(owners, prepend=-1))
            rows = self.pairs.image_index[chosen[first]]
        else:
            chosen = self.order.pairs_at(int(positions[0]), self.batch_size)
            owners, shares = np.arange(len(chosen)), None
            rows = self.pairs.image_index[chosen]
        gain = None
        if self.trainee.augment:
            pixels = rolled(self.pairs.images, rows, self.seed, positions)
            gain = torch.from_numpy(brightness(self.seed, positions)).to(self.device)
        else:
            pixels = self.pairs.images[rows]
        tokens = torch.from_numpy(self.trainee.trim(self.tokens[chosen])).to(self.device)
        images = torch.from_numpy(pixels).to(self.device)
        return _Batch(
            self.trainee.to_input(images, gain),
            tokens.long(),
            torch.from_numpy(owners).to(self.device),
            None if shares is None else torch.from_numpy(shares).to(self.device),
        )

    def _tag_loss(self, features: Tensor, tokens: Tensor) -> Tensor:
        # Summed over the vocabulary and divided by the tags: of one order with a cross-entropy.
        tags = self.trainee.tags(tokens)
        logits = self.module.tag_head(features)  # type: ignore[misc]
        bce = functional.binary_cross_entropy_with_logits(logits, tags, reduction="sum")
        return bce / tags.sum().clamp(min=1)

    def resume(self, checkpoint: Path) -> int:
        """Take over a checkpoint of this run; the step to continue with."""
        found = read_checkpoint(checkpoint, self.identity)
        if found is None:
            return 0
        tensors, progress = found
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "first": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = tensor
        self.module.load_state_dict(parts["model"])
        if parts["first"]:
            self.first = copy_of(self.module.clip)
            self.first.load_state_dict(parts["first"])
        self.optimizer.load_state(parts["optimizer"])
        self.curve.load_state(progress["curve"])
        return int(progress["step"])

    def write(self, checkpoint: Path, step: int) -> None:
        """Write the state after `step` steps."""
        tensors = {f"model/{k}": v for k, v in self.module.state_dict().items()}
        tensors |= {f"optimizer/{k}": v for k, v in self.optimizer.state().items()}
        if self.first is not None:
            tensors |= {f"first/{k}": v for k, v in self.first.state_dict().items()}
        progress = {"step": step, "curve": self.curve.state()}
        write_checkpoint(checkpoint, tensors, progress, self.identity)
