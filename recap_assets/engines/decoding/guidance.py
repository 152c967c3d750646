"""Logits of a captioning model as they are, or guided: one pass with the image, one without.

Classifier-free guidance of captions (Kornblith, Li, Wang, Nguyen 2023, arXiv 2307.16686) draws from
p(caption) * (p(caption | image) / p(caption)) ^ scale, token by token. The paper fine-tunes its
captioner to both distributions by leaving the image out of some examples. A captioner trained here
with `condition_dropout` is such a model. Another one gets a substitute for "no image", and then its
second distribution is whatever the model makes of an input that it never saw.
"""

from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol

import torch
from torch import Tensor

from recap_assets.engines.decoding.model import CaptionModel, GuidableModel, S, reorder
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.even_softmax import log_softmax
from recap_assets.specs.decoding import Decoding


class Logits(NamedTuple):
    """Logits of the next token, both float32 of shape (n, vocabulary).

    Attributes:
        deciding: What tokens are chosen by.
        own: The model's own given the image, by which a caption's log-probability is counted; the
            same tensor where nothing guides.
    """

    deciding: Tensor
    own: Tensor

    def rows(self, rows: Tensor) -> "Logits":
        """Those of some of the rows."""
        deciding = self.deciding[rows]
        return Logits(deciding, deciding if self.own is self.deciding else self.own[rows])

    def log_softmax(self) -> "Logits":
        """Natural-log probabilities."""
        deciding = log_softmax(self.deciding)
        return Logits(deciding, deciding if self.own is self.deciding else log_softmax(self.own))


class Steps(Protocol[S]):
    """A model from one token to the next."""

    n_passes: int
    """Rows that the model computes for each row of the caller's."""

    def start(self, features: Tensor) -> tuple[Logits, S]:
        """Logits of the first token of each image, and the state after it."""
        ...

    def step(self, tokens: Tensor, state: S) -> Logits:
        """Logits of the token after `tokens`."""
        ...


class PlainSteps(Generic[S]):
    """The model as it is."""

    n_passes = 1

    def __init__(self, model: CaptionModel[S]) -> None:
        self.model = model

    def start(self, features: Tensor) -> tuple[Logits, S]:
        """Logits of the first token of each image, and the state after it."""
        logits, state = self.model.start(features)
        return Logits(logits, logits), state

    def step(self, tokens: Tensor, state: S) -> Logits:
        """Logits of the token after `tokens`."""
        logits = self.model.step(tokens, state)
        return Logits(logits, logits)


@dataclass
class GuidedState(Generic[S]):
    """The state of `n` rows with their image and, behind them, of the same rows without."""

    both: S
    n: int

    def select(self, rows: Tensor) -> None:
        """Keep `rows`, in that order."""
        self.both.select(torch.cat([rows, rows + self.n]))
        self.n = len(rows)

    def reorder(self, rows: Tensor) -> None:
        """`select` for rows that all stay with their image."""
        reorder(self.both, torch.cat([rows, rows + self.n]))


class GuidedSteps(Generic[S]):
    """The model with and without the image, in one batch of twice the rows."""

    n_passes = 2

    def __init__(self, model: CaptionModel[S], scale: float) -> None:
        if not isinstance(model, GuidableModel):
            msg = (
                f"guidance_scale is {scale}: it needs a pass without the image, which "
                f"{type(model).__name__} does not have; leave guidance_scale at 1 for this model"
            )
            raise ModelFileError(msg)
        self.model: CaptionModel[S] = model
        self.unconditional = model.unconditional
        self.scale = scale

    def start(self, features: Tensor) -> tuple[Logits, GuidedState[S]]:
        """Logits of the first token of each image, and the state after it."""
        logits, state = self.model.start(torch.cat([features, self.unconditional(features)]))
        return self._guided(logits), GuidedState(state, len(features))

    def step(self, tokens: Tensor, state: GuidedState[S]) -> Logits:
        """Logits of the token after `tokens`."""
        return self._guided(self.model.step(torch.cat([tokens, tokens]), state.both))

    def _guided(self, logits: Tensor) -> Logits:
        with_image, without = logits.chunk(2)
        return Logits(guided(with_image, without, self.scale), with_image)


def guided(with_image: Tensor, without: Tensor, scale: float) -> Tensor:
    """`without + scale * (with_image - without)`; what the model never offers stays forbidden.

    Args:
        with_image: Logits, float32 of shape (n, vocabulary).
        without: Those without the image, of the same shape.
        scale: 1 gives `with_image`, 0 `without`, more than 1 goes beyond the first.
    """
    never = torch.isneginf(with_image) | torch.isneginf(without)
    return torch.where(never, -torch.inf, without + scale * (with_image - without))


def steps_of(model: CaptionModel[S], decoding: Decoding) -> PlainSteps[S] | GuidedSteps[S]:
    """The model as `decoding` wants it.

    Raises:
        ModelFileError: Guidance is asked for, and the model cannot write without an image.
    """
    if decoding.guidance_scale == 1:
        return PlainSteps(model)
    return GuidedSteps(model, decoding.guidance_scale)
