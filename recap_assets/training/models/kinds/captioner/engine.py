"""Training of the small captioner: a decoder on the precomputed tokens of a frozen image tower."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from recap_assets.engines.protocols import Scorer
from recap_assets.engines.small.controls import Controls
from recap_assets.engines.small.decoder import (
    DecoderShape,
    SmallCaptionModel,
)
from recap_assets.engines.small.files import read_tokenizer, save_model
from recap_assets.engines.small.loading import (
    CAPTIONER_KIND,
    read_small_captioner,
    read_small_clip,
)
from recap_assets.training.engine.curve import CurvePoint
from recap_assets.training.engine.draws import stream
from recap_assets.training.engine.heads import start_from_frequencies
from recap_assets.training.engine.pairs import TrainingPairs
from recap_assets.training.models.kinds.captioner.controls import controls_of, with_controls
from recap_assets.training.models.kinds.captioner.rewarded import RewardedRun
from recap_assets.training.models.kinds.captioner.run import CaptionerRun
from recap_assets.training.models.kinds.captioner.spec import TrainedCaptionerSpec

_NO_CONTROLS = Controls()


@dataclass(frozen=True)
class TrainedCaptionerModel:
    """A captioner after its run."""

    model: SmallCaptionModel
    tokenizer: Tokenizer
    curve: list[CurvePoint]
    controls: Controls = _NO_CONTROLS
    facts: Mapping[str, float] = field(default_factory=dict)

    def save(self, directory: Path) -> None:
        """Write config.json, model.safetensors (tower and decoder) and tokenizer.json."""
        config = {
            "kind": CAPTIONER_KIND,
            "tower": self.model.tower_spec.model_dump(mode="json"),
            "decoder": self.model.decoder.shape.model_dump(mode="json"),
        }
        if self.controls.known:
            config["controls"] = self.controls.model_dump(mode="json")
        save_model(directory, config, self.model, self.tokenizer)


def train_captioner(
    pairs: TrainingPairs,
    spec: TrainedCaptionerSpec,
    backbone: Path,
    start_from: Path | None = None,
    *,
    scorers: Mapping[str, Scorer] | None = None,
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
        scorers: Those that the spec names, by name.
        on_progress: Called after each step with the pairs seen and the loss.
        device: A torch device.

    Raises:
        ModelFileError: A saved model is missing, truncated or of another kind.
        ValueError: The images are of another size than the tower takes, or the texts have no
            sources for a control by source.
    """
    scorers = scorers or {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(spec.seed) >> 1)
        controls, told = controls_of(pairs, spec.control, scorers)
        model, tokenizer = _model_and_tokenizer(spec, backbone, start_from, controls)
        side, wanted = pairs.images.shape[1:3], model.tower_spec.image_size
        if side != (wanted, wanted):
            msg = f"images are {side[0]} x {side[1]}, the tower takes {wanted} x {wanted}"
            raise ValueError(msg)
        run = _run_of(pairs, spec, model.to(device), tokenizer, told, scorers)
        if start_from is None:
            start_from_frequencies(model.decoder, run.tokens)
        for step in range(run.steps):
            loss = run.step(step)
            if on_progress:
                on_progress((step + 1) * spec.batch_size, loss)
        facts = run.facts()
    return TrainedCaptionerModel(model.eval(), tokenizer, run.curve.points, controls, facts)


def _run_of(
    pairs: TrainingPairs,
    spec: TrainedCaptionerSpec,
    model: SmallCaptionModel,
    tokenizer: Tokenizer,
    told: NDArray[np.int64],
    scorers: Mapping[str, Scorer],
) -> CaptionerRun:
    if spec.reward is None:
        return CaptionerRun(pairs, spec, model, tokenizer, told)
    return RewardedRun(pairs, spec, model, tokenizer, told, scorers[spec.reward.scorer])


def _model_and_tokenizer(
    spec: TrainedCaptionerSpec,
    backbone: Path,
    start_from: Path | None,
    controls: Controls = _NO_CONTROLS,
) -> tuple[SmallCaptionModel, Tokenizer]:
    if start_from is not None:
        model = with_controls(start_from, read_small_captioner(start_from), controls)
        return model, read_tokenizer(start_from)
    clip = read_small_clip(backbone)
    shape = DecoderShape(
        width=spec.width,
        layers=spec.layers,
        vocabulary=clip.vocabulary,
        controls=controls.n_tokens,
    )
    model = SmallCaptionModel(clip.spec, shape)
    model.visual.load_state_dict(clip.visual.state_dict())
    return model, read_tokenizer(backbone)
