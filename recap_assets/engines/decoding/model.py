"""What the decoding loops ask of a captioning model."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from recap_assets.engines.protocols import Image


class State(Protocol):
    """What a model keeps between two tokens, for every row of the batch."""

    def select(self, rows: Tensor) -> None:
        """Keep `rows`, in that order; a row may be named more than once."""
        ...


S = TypeVar("S", bound=State)


class CaptionModel(Protocol[S]):
    """A model that writes a caption token by token."""

    device: torch.device
    eos: Sequence[int]
    vocabulary: int
    room: int
    """Most tokens of a caption that the model has positions for."""

    def prepare(self, image: Image) -> Tensor:
        """The image as the model takes it, float32 of shape (3, height, width)."""
        ...

    def encode(self, pixels: Tensor) -> Tensor:
        """Features of shape (n, tokens, width) of prepared images, shape (n, 3, height, width)."""
        ...

    def start(self, features: Tensor) -> tuple[Tensor, S]:
        """Logits of the first token, float32 of shape (n, vocabulary), and the state after it."""
        ...

    def step(self, tokens: Tensor, state: S) -> Tensor:
        """Logits of the token after `tokens`, float32 of shape (n, vocabulary)."""
        ...

    def text(self, tokens: list[int]) -> str:
        """The text of a caption without its end mark."""
        ...


@runtime_checkable
class GuidableModel(Protocol):
    """What a `CaptionModel` has besides where it can write without seeing the image.

    Classifier-free guidance needs it (`guidance_scale`); a model without it is refused there.
    """

    def unconditional(self, features: Tensor) -> Tensor:
        """Features of "no image", of the shape and type of `features`, for `start`.

        Say in the docstring what they are and whether the model was trained with them.
        """
        ...


@runtime_checkable
class ReorderableState(Protocol):
    """What a `State` may have besides, so that beams copy only what differs among them."""

    def reorder(self, rows: Tensor) -> None:
        """`select` for rows that all stay with their image: what is the image's may stay put."""
        ...


def reorder(state: State, rows: Tensor) -> None:
    """Put other rows of the same image in each row's place, with as little copying as may be."""
    if isinstance(state, ReorderableState):
        state.reorder(rows)
    else:
        state.select(rows)


def spread(rows: Tensor, n: int) -> Tensor:
    """`rows` with its last one repeated up to length n."""
    return torch.cat([rows, rows[-1:].expand(n - len(rows))])
