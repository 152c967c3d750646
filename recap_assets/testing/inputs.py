"""What contracts of several families share: images, places where nothing is kept, marks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recap_assets.engines.protocols import Image
from recap_assets.specs.base import Spec, marks_of
from recap_assets.specs.fields import Mark

SIDES = ((64, 64), (40, 90), (120, 33), (1, 1), (64, 64), (200, 200))


@dataclass(frozen=True)
class Nothing:
    """What the platform keeps for a kind, where it keeps nothing."""

    models: Path = Path("nowhere")
    replies: Path | None = None
    batch_sizes: Path | None = None


def some_images(seed: int = 0) -> list[Image]:
    """Images of several sides, random dots, shape (height, width, 3)."""
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 256, (*side, 3), np.uint8) for side in SIDES]


def marked_but_deciding(spec: Spec) -> set[str]:
    """Fields that say by a mark that they decide nothing, and are in `decides` all the same."""
    marked = {name for name, mark in marks_of(type(spec)).items() if isinstance(mark, Mark)}
    return marked & spec.decides().keys()
