"""Training of the small captioner: a decoder on the precomputed tokens of a frozen image tower."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from recap_assets.engines.row_counts import EvenPasses, example_pixels
from recap_assets.engines.small.decoder import (
    CONTEXT_LENGTH,
    CaptionDecoder,
    DecoderShape,
    SmallCaptionModel,
)
from recap_assets.engines.small.files import read_tokenizer, save_model
from recap_assets.engines.small.inference import fold_batch_norm
from recap_assets.engines.small.loading import (
    CAPTIONER_KIND,
    read_small_captioner,
    read_small_clip,
)
from recap_assets.engines.small.tokenizer import PAD, encode, longest
from recap_assets.engines.small.towers import ImageTower, pixels_to_input
from recap_assets.specs.models import Optimizer
from recap_assets.training.engine.clip import Curve, CurvePoint
from recap_assets.training.engine.draws import stream, uniform
from recap_assets.training.engine.optimizers import ScheduledOptimizer
from recap_assets.training.engine.pairs import PairOrder, TrainingPairs
from recap_assets.training.models.kinds.captioner.spec import TrainedCaptionerSpec

_PASS_ROWS = 64
_CONDITION = 3
"""Names the stream that decides whose image is left out, beside those of `pairs.py`."""


@dataclass(frozen=True)
class TrainedCaptionerModel:
    """A captioner after its run."""

    model: SmallCaptionModel
    tokenizer: Tokenizer
    curve: list[CurvePoint]

    def save(self, directory: Path) -> None:
        """Write config.json, model.safetensors (tower and decoder) and tokenizer.json."""
        config = {
            "kind": CAPTIONER_KIND,
            "tower": self.model.tower_spec.model_dump(mode="json"),
            "decoder": self.model.decoder.shape.model_dump(mode="json"),
        }
        save_model(directory, config, self.model, self.tokenizer)


def train_captioner(
    pairs: TrainingPairs,
    spec: TrainedCaptionerSpec,
    backbone: Path,
    start_from: Path | None = None,
    *,
    on_progress: Callable[[int, float], None] | None = None,
    device: str | torch.device = "cpu",
) -> TrainedCaptionerModel:
    """Train a decoder to write the texts of `pairs`.

    Args:
        pairs: What to learn from. Order and draws are a function of the spec's seed.
        spec: Shape, rates and budget.
        backbone: Folder of the CLIP whose image tower is used, frozen, and whose tokenizer.
        start_from: Folder of a captioner to fine-tune. It keeps its own tower, tokenizer and
            shape.
        on_progress: Called after each step with the pairs seen and the loss.
        device: A torch device.

    Raises:
        ModelFileError: A saved model is missing, truncated or of another kind.
        ValueError: The images are of another size than the tower takes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(spec.seed) >> 1)
        model, tokenizer = _model_and_tokenizer(spec, backbone, start_from)
        side, wanted = pairs.images.shape[1:3], model.tower_spec.image_size
        if side != (wanted, wanted):
            msg = f"images are {side[0]} x {side[1]}, the tower takes {wanted} x {wanted}"
            raise ValueError(msg)
        run = _CaptionerRun(pairs, spec, model.to(device), tokenizer)
        if start_from is None:
            start_from_frequencies(model.decoder, run.tokens)
        for step in range(run.steps):
            loss = run.step(step)
            if on_progress:
                on_progress((step + 1) * spec.batch_size, loss)
    return TrainedCaptionerModel(model.eval(), tokenizer, run.curve.points)


def _model_and_tokenizer(
    spec: TrainedCaptionerSpec, backbone: Path, start_from: Path | None
) -> tuple[SmallCaptionModel, Tokenizer]:
    if start_from is not None:
        return read_small_captioner(start_from), read_tokenizer(start_from)
    clip = read_small_clip(backbone)
    shape = DecoderShape(width=spec.width, layers=spec.layers, vocabulary=clip.vocabulary)
    model = SmallCaptionModel(clip.spec, shape)
    model.visual.load_state_dict(clip.visual.state_dict())
    return model, read_tokenizer(backbone)


class _CaptionerRun:
    def __init__(
        self,
        pairs: TrainingPairs,
        spec: TrainedCaptionerSpec,
        model: SmallCaptionModel,
        tokenizer: Tokenizer,
    ) -> None:
        self.pairs, self.batch_size = pairs, spec.batch_size
        self.dropout, self.drops = spec.condition_dropout, stream(spec.seed, _CONDITION)
        self.steps = -(-spec.samples_seen // spec.batch_size)
        self.decoder = model.decoder.train()
        self.order = PairOrder(pairs, spec.seed)
        rates = Optimizer.model_validate(
            {"text_muon_rate": spec.muon_rate, "adamw_rate": spec.adamw_rate}
        )
        self.optimizer = ScheduledOptimizer(self.decoder, rates, self.steps)
        self.tokens = encode(tokenizer, pairs.texts, CONTEXT_LENGTH)
        self.features = image_features(model, pairs.images)
        self.curve = Curve(self.steps, spec.batch_size)

    def step(self, step: int) -> float:
        """One update; the cross-entropy a token before it, in nats."""
        chosen = self.order.pairs_at(step * self.batch_size, self.batch_size)
        device = self.decoder.position.device
        tokens = self.tokens[chosen]
        tokens = torch.from_numpy(tokens[:, : longest(tokens)]).to(device).long()
        features = torch.from_numpy(self._features(chosen, step))
        logits = self.decoder(features.to(device, torch.float32), tokens[:, :-1])
        loss = functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=PAD
        )
        loss.backward()
        self.optimizer.step(step)
        self.curve.add(step, float(loss.detach()), self.optimizer.factor(step))
        return float(loss.detach())

    def _features(self, chosen: NDArray[np.int64], step: int) -> NDArray[np.float16]:
        """Image tokens of the pairs of a step; zeros where the image is left out."""
        features = self.features[self.pairs.image_index[chosen]]
        if self.dropout:
            at = step * self.batch_size + np.arange(len(chosen))
            features[uniform(self.drops, at) < self.dropout] = 0
        return features


@torch.no_grad()
def start_from_frequencies(decoder: CaptionDecoder, tokens: NDArray[np.int32]) -> None:
    """Set the head's biases to the log-frequencies of `tokens`, shape (n, length).

    Training then begins at the unigram entropy, and tokens that no caption has are not sampled:
    few steps would not push thousands of them down.
    """
    counts = np.bincount(tokens[:, 1:].ravel(), minlength=decoder.shape.vocabulary).astype(float)
    counts[PAD] = 0
    frequencies = (counts + 1e-3) / (counts + 1e-3).sum()
    decoder.head.bias.copy_(torch.from_numpy(np.log(frequencies)))


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
