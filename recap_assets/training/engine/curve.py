"""How the loss of a model that is trained here went."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CURVE_POINTS = 40


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
    on_point: Callable[[CurvePoint], None] = lambda _point: None

    def add(self, step: int, loss: float, factor: float) -> None:
        """Take the loss of `step`, counted from 0."""
        self.pending.append(loss)
        done = step + 1
        every = max(1, self.steps // CURVE_POINTS)
        if done % every == 0 or done == self.steps:
            mean = float(np.mean(self.pending))
            self.points.append(CurvePoint(done, done * self.batch_size, mean, factor))
            self.pending = []
            self.on_point(self.points[-1])

    def state(self) -> dict[str, Any]:
        """As plain values for a checkpoint."""
        return {"points": [vars(point) for point in self.points], "pending": self.pending}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self.points = [CurvePoint(**point) for point in state["points"]]
        self.pending = list(state["pending"])
