"""What the training loop of a CLIP needs to know of a model: two kinds, one interface."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


class Trainee(Protocol):
    """A CLIP in training.

    Attributes:
        augment: Whether images are rolled and their brightness changed.
        n_tags: Tokens that a tag loss may predict; 0 where there is no such loss.
        embedding_dim: Width of the joint embedding.
    """

    augment: bool
    n_tags: int
    embedding_dim: int

    @property
    def model(self) -> nn.Module:
        """Its forward takes images and tokens and gives what `contrastive_loss` takes."""
        ...

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Token ids, shape (n, context_length)."""
        ...

    def trim(self, tokens: NDArray[np.int32]) -> NDArray[np.int32]:
        """Drop columns that change no embedding."""
        ...

    def to_input(self, pixels: Tensor, gain: Tensor | None) -> Tensor:
        """Pixels (n, height, width, 3), uint8, as the model takes them."""
        ...

    def tags(self, tokens: Tensor) -> Tensor:
        """1.0 where a text has a token, shape (n, n_tags); marks and padding never."""
        ...

    def save(self, directory: Path) -> None:
        """Write the model so that the scorers can load it."""
        ...


def check_side(side: tuple[int, int], wanted: tuple[int, ...]) -> None:
    """That images are of the size that a tower takes: height and width in pixels.

    Raises:
        ValueError: They are of another size.
    """
    if tuple(side) != tuple(wanted):
        msg = f"images are {side[0]} x {side[1]}, the tower takes {wanted[0]} x {wanted[1]}"
        raise ValueError(msg)
