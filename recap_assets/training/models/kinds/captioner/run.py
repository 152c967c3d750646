"""One run of the small captioner: cross-entropy of captions, step by step."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from recap_assets.engines.row_counts import EvenPasses, example_pixels
from recap_assets.engines.small.decoder import CONTEXT_LENGTH, SmallCaptionModel
from recap_assets.engines.small.inference import fold_batch_norm
from recap_assets.engines.small.tokenizer import PAD, encode, longest
from recap_assets.engines.small.towers import ImageTower, pixels_to_input
from recap_assets.specs.models import Optimizer
from recap_assets.training.engine.curve import Curve
from recap_assets.training.engine.draws import stream, uniform
from recap_assets.training.engine.optimizers import ScheduledOptimizer
from recap_assets.training.engine.pairs import PairOrder, TrainingPairs
from recap_assets.training.models.kinds.captioner.spec import TrainedCaptionerSpec

_PASS_ROWS = 64
_CONDITION = 3
"""Names the stream that decides whose image is left out, beside those of `pairs.py`."""


class CaptionerRun:
    """Cross-entropy of the corpus's captions, step by step.

    Args:
        pairs: What to learn from.
        spec: Rates and budget.
        model: What learns.
        tokenizer: Its own.
        told: Shape (n_pairs, controls): the control tokens of each pair, numbered from 0.
    """

    def __init__(
        self,
        pairs: TrainingPairs,
        spec: TrainedCaptionerSpec,
        model: SmallCaptionModel,
        tokenizer: Tokenizer,
        told: NDArray[np.int64] | None = None,
    ) -> None:
        told = np.zeros((len(pairs.texts), 0), np.int64) if told is None else told
        self.told = told + model.decoder.shape.vocabulary
        self.pairs, self.batch_size = pairs, spec.batch_size
        self.dropout, self.drops = spec.condition_dropout, stream(spec.seed, _CONDITION)
        self.steps = -(-spec.samples_seen // spec.batch_size)
        self.decoder = model.decoder.train()
        self.order = PairOrder(pairs, spec.seed)
        scale = spec.reward.rate if spec.reward else 1.0
        rates = Optimizer.model_validate(
            {"text_muon_rate": scale * spec.muon_rate, "adamw_rate": scale * spec.adamw_rate}
        )
        self.optimizer = ScheduledOptimizer(self.decoder, rates, self.steps)
        self.tokens = encode(tokenizer, pairs.texts, CONTEXT_LENGTH - told.shape[1])
        self.features = image_features(model, pairs.images)
        self.curve = Curve(self.steps, spec.batch_size)

    def step(self, step: int) -> float:
        """One update; the cross-entropy a token before it, in nats."""
        chosen = self.order.pairs_at(step * self.batch_size, self.batch_size)
        return self.update(step, self.cross_entropy(chosen, self.features_of(chosen, step)))

    def update(self, step: int, loss: Tensor) -> float:
        """Learn from a loss; its value."""
        loss.backward()
        self.optimizer.step(step)
        self.curve.add(step, float(loss.detach()), self.optimizer.factor(step))
        return float(loss.detach())

    def cross_entropy(self, chosen: NDArray[np.int64], features: Tensor) -> Tensor:
        """Of the pairs' captions, a token, in nats."""
        tokens = self.tokens[chosen]
        tokens = torch.from_numpy(tokens[:, : longest(tokens)]).to(features.device).long()
        told = torch.from_numpy(self.told[chosen]).to(features.device)
        written = torch.cat([tokens[:, :1], told, tokens[:, 1:-1]], dim=1)
        logits = self.decoder(features, written)[:, told.shape[1] :]
        return functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=PAD
        )

    def facts(self) -> Mapping[str, float]:
        """Small numbers about the run."""
        return {}

    def features_of(self, chosen: NDArray[np.int64], step: int) -> Tensor:
        """Image tokens of the pairs of a step, on the device."""
        features = torch.from_numpy(self._features(chosen, step))
        return features.to(self.decoder.position.device, torch.float32)

    def _features(self, chosen: NDArray[np.int64], step: int) -> NDArray[np.float16]:
        """Image tokens of the pairs of a step; zeros where the image is left out."""
        features = self.features[self.pairs.image_index[chosen]]
        if self.dropout:
            at = step * self.batch_size + np.arange(len(chosen))
            features[uniform(self.drops, at) < self.dropout] = 0
        return features


@torch.inference_mode()
def image_features(model: SmallCaptionModel, images: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Tokens of all images, float16 of shape (n, cells, token_dim): frozen, so computed once."""
    # A copy: folding changes the weights that are saved.
    tower = ImageTower(model.tower_spec)
    tower.load_state_dict(model.visual.state_dict())
    tower = fold_batch_norm(tower).to(model.decoder.position.device)
    device = model.decoder.position.device

    def tokens(pixels: Tensor) -> Tensor:
        return tower.tokens(pixels_to_input(pixels.to(device))).to(torch.float16).cpu()

    passes = EvenPasses(device).run(tokens, torch.from_numpy(images), _PASS_ROWS, example_pixels)
    return torch.cat(list(passes)).numpy()
