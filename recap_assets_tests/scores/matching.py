"""Scorers of pairs, as another package would give them."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from recap_assets.engines.protocols import Image, PairScorer, Places
from recap_assets.scores.kind import ByPairs
from recap_assets.specs.fields import Speed


class MatchingScorer(ByPairs):
    """Scores an image and a text by a number drawn from both; it declines some texts."""

    kind: Literal["matching"]
    salt: str = ""
    batch_size: Annotated[int, Speed] = 7

    framework = "numpy"
    on_gpu = False

    def open(self, places: Places) -> PairScorer:  # noqa: ARG002
        return Matching(self.salt)

    @property
    def at_once(self) -> int:
        return self.batch_size


class Matching:
    def __init__(self, salt: str) -> None:
        self.salt = salt.encode()

    def score(self, images: Sequence[Image], texts: Sequence[str]) -> NDArray[np.float32]:
        pairs = zip(images, texts, strict=True)
        return np.array([score_of(self.salt, *pair) for pair in pairs], np.float32)


def score_of(salt: bytes, image: Image, text: str) -> float:
    """Drawn from the pixels and the text; NaN for every seventh length of a text."""
    if len(text) % 7 == 3:
        return float("nan")
    digest = blake2b(salt + image.tobytes() + text.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") / 2**31 - 1
