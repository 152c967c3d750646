"""Training of the small rewriter: cross-entropy of the output given the inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.nn import functional

from recap_assets.engines.small.decoder import DecoderShape
from recap_assets.engines.small.files import save_model
from recap_assets.engines.small.loading import REWRITER_KIND
from recap_assets.engines.small.rewriter import RewriterShape, SmallRewriteModel, input_tokens
from recap_assets.engines.small.tokenizer import PAD, encode, longest, train_tokenizer
from recap_assets.specs.models import Optimizer
from recap_assets.training.corpora.kind import TextRow
from recap_assets.training.engine.curve import Curve, CurvePoint
from recap_assets.training.engine.draws import stream, words
from recap_assets.training.engine.heads import start_from_frequencies
from recap_assets.training.engine.optimizers import ScheduledOptimizer
from recap_assets.training.models.kinds.rewriter.spec import TrainedRewriterSpec

_ORDER = 1


@dataclass(frozen=True)
class TrainedRewriterModel:
    """A rewriter after its run."""

    model: SmallRewriteModel
    tokenizer: Tokenizer
    curve: list[CurvePoint]

    def save(self, directory: Path) -> None:
        """Write config.json, model.safetensors and tokenizer.json."""
        config = {"kind": REWRITER_KIND, "shape": self.model.shape.model_dump(mode="json")}
        save_model(directory, config, self.model, self.tokenizer)


def train_rewriter(
    inputs: Sequence[str],
    rows: Sequence[TextRow],
    spec: TrainedRewriterSpec,
    *,
    on_progress: Callable[[int, float], None] | None = None,
    device: str | torch.device = "cpu",
) -> TrainedRewriterModel:
    """Train a rewriter to write the outputs of `rows`.

    Args:
        inputs: Names of the rows' inputs.
        rows: What to learn from; each epoch passes over all in an order of its own.
        spec: Shape, rates and budget.
        on_progress: Called after each step with the rows seen and the loss.
        device: A torch device.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(spec.seed) >> 1)
        run = _RewriterRun(inputs, rows, spec, torch.device(device))
        for step in range(run.steps):
            loss = run.step(step)
            if on_progress:
                on_progress((step + 1) * spec.batch_size, loss)
    return TrainedRewriterModel(run.model.eval(), run.tokenizer, run.curve.points)


class _RewriterRun:
    def __init__(
        self,
        inputs: Sequence[str],
        rows: Sequence[TextRow],
        spec: TrainedRewriterSpec,
        device: torch.device,
    ) -> None:
        self.batch_size, self.seed, self.n_rows = spec.batch_size, spec.seed, len(rows)
        self.steps = -(-spec.samples_seen // spec.batch_size)
        texts = [text for row in rows for text in (*row.inputs, row.output)]
        self.tokenizer = train_tokenizer(texts, spec.vocabulary)
        shape = _shape(inputs, spec, self.tokenizer.get_vocab_size())
        self.inputs = input_tokens(self.tokenizer, shape, [row.inputs for row in rows])
        outputs = [row.output for row in rows]
        self.outputs = encode(self.tokenizer, outputs, spec.output_tokens)
        self.device = device
        self.model = SmallRewriteModel(shape).to(device).train()
        start_from_frequencies(self.model.decoder, self.outputs)
        rates = {"text_muon_rate": spec.muon_rate, "adamw_rate": spec.adamw_rate}
        optimizer = Optimizer.model_validate(rates)
        self.optimizer = ScheduledOptimizer(self.model, optimizer, self.steps)
        self.curve = Curve(self.steps, spec.batch_size)

    def step(self, step: int) -> float:
        """One update; the cross-entropy a token before it, in nats."""
        chosen = self._rows_at(step * self.batch_size + np.arange(self.batch_size))
        outputs = self.outputs[chosen]
        tokens = torch.from_numpy(outputs[:, : longest(outputs)]).to(self.device).long()
        read = torch.from_numpy(self.inputs[chosen]).to(self.device).long()
        logits = self.model(read, tokens[:, :-1])
        loss = functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=PAD
        )
        loss.backward()
        self.optimizer.step(step)
        self.curve.add(step, float(loss.detach()), self.optimizer.factor(step))
        return float(loss.detach())

    def _rows_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row numbers at positions of the run: a function of the seed and the position."""
        chosen = np.empty(len(positions), np.int64)
        for epoch in np.unique(positions // self.n_rows):
            draws = words(stream(self.seed, int(epoch), _ORDER), np.arange(self.n_rows))
            at = positions // self.n_rows == epoch
            chosen[at] = np.argsort(draws, kind="stable")[positions[at] % self.n_rows]
        return chosen


def _shape(inputs: Sequence[str], spec: TrainedRewriterSpec, vocabulary: int) -> RewriterShape:
    decoder = DecoderShape(
        width=spec.width,
        layers=spec.layers,
        vocabulary=vocabulary,
        context_length=spec.output_tokens,
    )
    return RewriterShape(
        inputs=tuple(inputs),
        input_tokens=spec.input_tokens,
        encoder_layers=spec.encoder_layers,
        decoder=decoder,
    )
