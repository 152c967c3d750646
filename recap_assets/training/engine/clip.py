"""Training of a CLIP: a fixed number of samples seen, contrastive loss, resumable to the bit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recap_assets.specs.base import fingerprint_of
from recap_assets.specs.models import Optimizer, Tower
from recap_assets.training.engine.augmentation import brightness, rolled
from recap_assets.training.engine.checkpoints import read_checkpoint, write_checkpoint
from recap_assets.training.engine.draws import stream
from recap_assets.training.engine.losses import contrastive_loss
from recap_assets.training.engine.optimizers import ScheduledOptimizer
from recap_assets.training.engine.pairs import PairOrder, TrainingPairs
from recap_assets.training.engine.trainee import Trainee
from recap_assets.training.engine.trainees import make_trainee

CURVE_POINTS = 40
MAX_LOGIT_SCALE = float(np.log(100.0))


@dataclass(frozen=True)
class CurvePoint:
    """Where a training run was.

    Attributes:
        step: Steps done.
        samples_seen: Pairs seen.
        loss: Contrastive loss (or the captioner's cross-entropy), mean since the last point, nats.
        learning_rate_factor: The schedule's factor on the peak rates.
    """

    step: int
    samples_seen: int
    loss: float
    learning_rate_factor: float


@dataclass
class Curve:
    """Curve points of a run in progress, one about every fortieth of it."""

    steps: int
    batch_size: int
    points: list[CurvePoint] = field(default_factory=list)
    pending: list[float] = field(default_factory=list)

    def add(self, step: int, loss: float, factor: float) -> None:
        """Take the loss of `step`, counted from 0."""
        self.pending.append(loss)
        done = step + 1
        every = max(1, self.steps // CURVE_POINTS)
        if done % every == 0 or done == self.steps:
            mean = float(np.mean(self.pending))
            self.points.append(CurvePoint(done, done * self.batch_size, mean, factor))
            self.pending = []

    def state(self) -> dict[str, Any]:
        """As plain values for a checkpoint."""
        return {"points": [vars(point) for point in self.points], "pending": self.pending}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self.points = [CurvePoint(**point) for point in state["points"]]
        self.pending = list(state["pending"])


@dataclass(frozen=True)
class TrainedClipModel:
    """A CLIP after its run."""

    trainee: Trainee
    curve: list[CurvePoint]

    def save(self, directory: Path) -> None:
        """Write the model: the small layout, or open_clip's folder for an open_clip tower."""
        self.trainee.save(directory)


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
    checkpoint: Path | None = None,
    checkpoint_every: int = 50_000,
    on_progress: Callable[[int, float], None] | None = None,
    device: str | torch.device = "cpu",
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
        checkpoint: A file that holds the run's state. Where it exists and belongs to this very
            run, training continues from it, to the same final weights on one device; a damaged one
            is set aside. The caller deletes it after saving the model.
        checkpoint_every: Pairs seen between checkpoints.
        on_progress: Called after each step with the pairs seen and the loss.
        device: A torch device.

    Raises:
        ValueError: The images are of another size than the tower takes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed) >> 1)
        run = _ClipRun(
            pairs, tower, optimizer, samples_seen, batch_size, seed, tag_loss, torch.device(device)
        )
        first = run.resume(checkpoint) if checkpoint else 0
        for step in range(first, run.steps):
            loss = run.step(step)
            seen = (step + 1) * batch_size
            due = seen // checkpoint_every > step * batch_size // checkpoint_every
            if checkpoint and due and step + 1 < run.steps:
                run.write(checkpoint, step + 1)
            if on_progress:
                on_progress(seen, loss)
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

    def step(self, step: int) -> float:
        """One update; the contrastive loss before it."""
        torch.manual_seed(stream(self.seed, step) >> 1)
        self.module.train()
        images, tokens = self._batch(step)
        outputs = self.module.clip(images, tokens)
        contrastive = contrastive_loss(**outputs)
        total = contrastive
        if self.module.tag_head is not None:
            total = total + self.tag_loss * self._tag_loss(outputs["image_features"], tokens)
        total.backward()
        self.optimizer.step(step)
        with torch.no_grad():
            self.module.clip.logit_scale.clamp_(0, MAX_LOGIT_SCALE)  # type: ignore[operator]
        loss = float(contrastive.detach())
        self.curve.add(step, loss, self.optimizer.factor(step))
        return loss

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        chosen = self.order.pairs_at(int(positions[0]), self.batch_size)
        rows = self.pairs.image_index[chosen]
        gain = None
        if self.trainee.augment:
            pixels = rolled(self.pairs.images, rows, self.seed, positions)
            gain = torch.from_numpy(brightness(self.seed, positions)).to(self.device)
        else:
            pixels = self.pairs.images[rows]
        tokens = torch.from_numpy(self.trainee.trim(self.tokens[chosen])).to(self.device)
        images = torch.from_numpy(pixels).to(self.device)
        return self.trainee.to_input(images, gain), tokens.long()

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
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = tensor
        self.module.load_state_dict(parts["model"])
        self.optimizer.load_state(parts["optimizer"])
        self.curve.load_state(progress["curve"])
        return int(progress["step"])

    def write(self, checkpoint: Path, step: int) -> None:
        """Write the state after `step` steps."""
        tensors = {f"model/{k}": v for k, v in self.module.state_dict().items()}
        tensors |= {f"optimizer/{k}": v for k, v in self.optimizer.state().items()}
        progress = {"step": step, "curve": self.curve.state()}
        write_checkpoint(checkpoint, tensors, progress, self.identity)
