"""Training of a vocabulary model: contrastive, over sparse vectors and the texts' own words."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from recap_assets.engines.small.files import save_model
from recap_assets.engines.small.loading import VOCABULARY_KIND
from recap_assets.engines.small.tokenizer import encode, longest, train_word_tokenizer
from recap_assets.engines.small.towers import pixels_to_input
from recap_assets.engines.small.vocabulary import SmallVocabularyModel
from recap_assets.training.engine.augmentation import brightness, rolled
from recap_assets.training.engine.clip import MAX_LOGIT_SCALE
from recap_assets.training.engine.curve import Curve, CurvePoint
from recap_assets.training.engine.draws import stream
from recap_assets.training.engine.losses import contrastive_loss
from recap_assets.training.engine.optimizers import ScheduledOptimizer
from recap_assets.training.engine.pairs import PairOrder, TrainingPairs
from recap_assets.training.models.kinds.vocabulary.spec import TrainedVocabularySpec


@dataclass(frozen=True)
class TrainedVocabularyModel:
    """A vocabulary model after its run."""

    model: SmallVocabularyModel
    tokenizer: Tokenizer
    spec: TrainedVocabularySpec
    curve: list[CurvePoint]

    def save(self, directory: Path) -> None:
        """Write config.json, model.safetensors and tokenizer.json."""
        config = {
            "kind": VOCABULARY_KIND,
            "tower": self.spec.tower.model_dump(mode="json"),
            "vocabulary": self.model.vocabulary,
            "top": self.model.top,
        }
        save_model(directory, config, self.model, self.tokenizer)


def train_vocabulary(
    pairs: TrainingPairs,
    spec: TrainedVocabularySpec,
    *,
    on_progress: Callable[[int, float], None] | None = None,
    device: str | torch.device = "cpu",
) -> TrainedVocabularyModel:
    """Train a vocabulary model on `pairs`.

    Args:
        pairs: What to learn from, images of the tower's side. Order is a function of the seed.
        spec: Towers, rates and budget.
        on_progress: Called after each step with the pairs seen and the loss.
        device: A torch device.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(spec.seed) >> 1)
        run = _VocabularyRun(pairs, spec, torch.device(device))
        for step in range(run.steps):
            loss = run.step(step)
            if on_progress:
                on_progress((step + 1) * spec.batch_size, loss)
    return TrainedVocabularyModel(run.model.eval(), run.tokenizer, spec, run.curve.points)


def vocabulary_loss(model: SmallVocabularyModel, images: Tensor, tokens: Tensor) -> Tensor:
    """The mean of three contrastive losses, in nats.

    Args:
        model: Its weights are learned.
        images: As `pixels_to_input` gives them.
        tokens: Shape (n, length); a row belongs to the image of its number.
    """
    of_images, of_texts = model.image_weights(images), model.text_weights(tokens)
    own, scale = model.own_words(tokens), model.logit_scale.exp()
    both = (
        (model.sparse(of_images), of_texts),
        (of_images, model.sparse(of_texts, own)),
        (of_images, own),
    )
    losses = [contrastive_loss(_unit(left), _unit(right), scale) for left, right in both]
    return torch.stack(losses).mean()


def _unit(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors, dim=-1)


class _VocabularyRun:
    def __init__(
        self, pairs: TrainingPairs, spec: TrainedVocabularySpec, device: torch.device
    ) -> None:
        self.pairs, self.spec, self.device = pairs, spec, device
        self.steps = -(-spec.samples_seen // spec.batch_size)
        self.tokenizer = train_word_tokenizer(pairs.texts, spec.tower.vocabulary)
        n_tokens = self.tokenizer.get_vocab_size()
        self.model = SmallVocabularyModel(spec.tower, n_tokens, spec.top).to(device).train()
        self.tokens = encode(self.tokenizer, pairs.texts, spec.tower.context_length)
        self.optimizer = ScheduledOptimizer(self.model, spec.optimizer, self.steps)
        self.order = PairOrder(pairs, spec.seed)
        self.curve = Curve(self.steps, spec.batch_size)

    def step(self, step: int) -> float:
        """One update; the loss before it."""
        loss = vocabulary_loss(self.model, *self._batch(step))
        loss.backward()
        self.optimizer.step(step)
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, MAX_LOGIT_SCALE)
        self.curve.add(step, float(loss.detach()), self.optimizer.factor(step))
        return float(loss.detach())

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        size, seed = self.spec.batch_size, self.spec.seed
        positions = np.arange(step * size, (step + 1) * size)
        chosen = self.order.pairs_at(step * size, size)
        pixels = rolled(self.pairs.images, self.pairs.image_index[chosen], seed, positions)
        gain = torch.from_numpy(brightness(seed, positions)).to(self.device)
        tokens = self.tokens[chosen][:, : longest(self.tokens[chosen])]
        images = pixels_to_input(torch.from_numpy(pixels).to(self.device), gain)
        return images, torch.from_numpy(tokens).to(self.device).long()
