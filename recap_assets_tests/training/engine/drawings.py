"""Shapes in colours, drawn with numpy: enough for a model to learn in seconds."""

import numpy as np

from recap_assets.training.engine.pairs import TrainingPairs

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 70, 220), "white": (240,) * 3}
SHAPES = ("square", "disc", "bar", "cross")


def drawing(shape: str, colour: str, rng: np.random.Generator, side: int = 64) -> np.ndarray:
    image = rng.integers(60, 120, (side, side, 3)).astype(np.uint8)
    y, x = np.mgrid[:side, :side]
    cy, cx = rng.integers(side // 3, 2 * side // 3, 2)
    dy, dx = np.abs(y - cy), np.abs(x - cx)
    r = side // 5
    inside = {
        "square": (dy < r) & (dx < r),
        "disc": dy**2 + dx**2 < (1.1 * r) ** 2,
        "bar": (dy < r // 3) & (dx < 2 * r),
        "cross": ((dy < r // 3) & (dx < r)) | ((dx < r // 3) & (dy < r)),
    }[shape]
    image[inside] = COLOURS[colour]
    return image


def drawn_pairs(n: int, seed: int = 0, side: int = 64) -> TrainingPairs:
    rng = np.random.default_rng(seed)
    images, texts = [], []
    for _ in range(n):
        shape, colour = rng.choice(SHAPES), rng.choice(list(COLOURS))
        images.append(drawing(shape, colour, rng, side))
        texts.append(rng.choice([f"a {colour} {shape}", f"{shape}, {colour}, stock photo"]))
    return TrainingPairs(
        np.stack(images), np.arange(n, dtype=np.int32), texts, np.ones(n, np.float32)
    )
