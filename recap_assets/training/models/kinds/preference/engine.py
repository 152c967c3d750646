"""Training of a preference head: the likelihood of the preferences, by AdamW."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from recap_assets.engines.small.preference import PreferenceHead
from recap_assets.training.engine.curve import Curve, CurvePoint
from recap_assets.training.engine.draws import stream, words
from recap_assets.training.engine.eager import AdamW
from recap_assets.training.models.kinds.preference.reading import Compared
from recap_assets.training.models.kinds.preference.spec import PreferenceSpec

_ORDER = 1


@dataclass(frozen=True)
class TrainedPreference:
    """A head after its run."""

    head: PreferenceHead
    curve: list[CurvePoint]
    facts: Mapping[str, float]

    def save(self, directory: Path) -> None:
        """Write config.json and model.safetensors."""
        self.head.save(directory)


def train_preference(
    given: Compared, spec: PreferenceSpec, on_progress: Callable[[int, float], None]
) -> TrainedPreference:
    """Learn to prefer what was preferred (Bradley-Terry); it begins as the cosine.

    Args:
        given: Preferences with their embeddings, one at least.
        spec: Rates and budget.
        on_progress: Called after each step with the preferences seen and the loss.
    """
    differences = given.better - given.worse
    features = np.concatenate([given.images * differences, differences], axis=1)
    rows = torch.from_numpy(features)
    dimension = given.images.shape[1]
    start = torch.cat([torch.ones(dimension), torch.zeros(dimension)])
    weights = start.requires_grad_()
    adam = AdamW([weights], lr=spec.rate, weight_decay=spec.weight_decay)
    steps = -(-spec.samples_seen // spec.batch_size)
    curve = Curve(steps, spec.batch_size)
    for step in range(steps):
        positions = np.arange(step * spec.batch_size, (step + 1) * spec.batch_size)
        chosen = words(stream(spec.seed, _ORDER), positions) % np.uint64(len(rows))
        factor = 1 - step / steps
        for group in adam.param_groups:
            group["lr"] = factor * spec.rate
        loss = functional.softplus(-(rows[torch.from_numpy(chosen.astype(np.int64))] @ weights))
        loss.mean().backward()
        adam.step()
        adam.zero_grad(set_to_none=True)
        lost = float(loss.mean().detach())
        curve.add(step, lost, factor)
        on_progress((step + 1) * spec.batch_size, lost)
    learned = weights.detach().numpy().astype(np.float32)
    head = PreferenceHead(learned[:dimension].copy(), learned[dimension:].copy())
    agreed = float((features @ learned > 0).mean())
    facts = {
        "preferences": len(rows),
        "not_in_the_pool": given.n_elsewhere,
        "agreement": round(agreed, 4),
    }
    return TrainedPreference(head, curve.points, facts)
