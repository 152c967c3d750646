"""A captioning model that computes every row by itself: slow, and right on every machine.

Where no number of rows gives a row the same bits in every place (`engines/row_counts.py`), a row
that is always alone still has them.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from recap_assets.engines.decoding.model import CaptionModel, GuidableModel, S


@dataclass
class SeparateStates(Generic[S]):
    """A state for each row."""

    states: list[S]

    def select(self, rows: Tensor) -> None:
        """Keep `rows`, in that order; a state that is named again is copied."""
        numbers = rows.tolist()
        self.states = [
            deepcopy(self.states[row]) if row in numbers[:place] else self.states[row]
            for place, row in enumerate(numbers)
        ]


class OneByOne(Generic[S]):
    """The model, one row at a time.

    Args:
        model: What computes a batch of one row; all but `start` and `step` is left to it. Where it
            can write without seeing the image, so can this.
    """

    def __init__(self, model: CaptionModel[S]) -> None:
        self.model = model
        self.device: torch.device = model.device
        self.eos: Sequence[int] = model.eos
        self.vocabulary: int = model.vocabulary
        self.room: int = model.room
        self.prepare = model.prepare
        self.encode = model.encode
        self.text = model.text
        # Of its own: from Python 3.12 on a protocol's isinstance sees nothing behind __getattr__.
        if isinstance(model, GuidableModel):
            self.unconditional = model.unconditional

    def start(self, features: Tensor) -> tuple[Tensor, SeparateStates[S]]:
        """Logits of the first token, and the states after it."""
        started = [self.model.start(row[None]) for row in features]
        return torch.cat([logits for logits, _ in started]), SeparateStates(
            [state for _, state in started]
        )

    def step(self, tokens: Tensor, state: SeparateStates[S]) -> Tensor:
        """Logits of the token after `tokens`."""
        rows = zip(tokens, state.states, strict=True)
        return torch.cat([self.model.step(token[None], one) for token, one in rows])
