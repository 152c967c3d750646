"""Scenes to pixels: painted on 128 x 128 as indices into a palette, then reduced to 64 x 64."""

from collections.abc import Callable
from functools import lru_cache
from math import cos, radians, sin
from random import Random

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from recap_assets.world.icons import ICONS, SLOTS
from recap_assets.world.scenes import BACKGROUNDS, CANVAS, FINE, N_VARIANTS, Scene, Thing, stream

Pixels = NDArray[np.uint8]

SIDE = CANVAS // 2
"""Side of a picture, in pixels."""

_QUALITIES = range(70, 93)

RGB: dict[str, tuple[int, int, int]] = {
    "red": (214, 34, 40),
    "yellow": (247, 208, 32),
    "green": (42, 150, 50),
    "blue": (36, 82, 214),
    "teal": (20, 180, 178),
    "purple": (128, 44, 172),
    "pink": (248, 130, 184),
    "brown": (134, 78, 36),
    "grey": (134, 138, 146),
}
_WHITE, _BLACK = (246, 246, 242), (26, 24, 28)
_PATTERN = len(SLOTS)
_ENTRIES = len(SLOTS) + 1
_ANYTHING = [0, *[255] * 255]
_TEXTURE_SHARE = 0.45
_ROWS, _COLUMNS = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32)


def draw(scene: Scene, seed: int) -> Pixels:
    """A scene as pixels, shape (64, 64, 3).

    Args:
        scene: What to draw.
        seed: Of the world, which fixes the pictures of the backgrounds.
    """
    sheet = Image.new("L", (CANVAS, CANVAS), 0)
    pen = ImageDraw.Draw(sheet)
    palette = [0, 0, 0]
    for thing in scene.things:
        _paint(pen, thing, len(palette) // 3)
        palette += _colours_of(thing.colour)
    if any(thing.texture != "solid" for thing in scene.things):
        indices = np.array(sheet)
        for i, thing in enumerate(scene.things):
            _pattern(indices, thing, 1 + i * _ENTRIES)
        sheet = Image.fromarray(indices)
    where = sheet.point(_ANYTHING)
    sheet.putpalette(palette)
    picture = _as_images(seed)[scene.background][scene.variant].copy()
    picture.paste(sheet.convert("RGB"), mask=where)
    levels = np.minimum(np.arange(256) * scene.brightness, 255).astype(np.uint8)
    return levels[np.asarray(picture.reduce(2))]


def jpeg(pixels: Pixels, quality: int) -> bytes:
    """Pixels of shape (height, width, 3) as JPEG, quality in 1..100."""
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, colorsubsampling="444")


def draw_quality(rng: Random) -> int:
    """A JPEG quality between 70 and 92."""
    return _QUALITIES[int(rng.random() * len(_QUALITIES))]


def shifted(pixels: Pixels, order: tuple[int, int, int], noise: NDArray[np.float32]) -> Pixels:
    """The same picture with its channels in another order and noise added, of the same shape."""
    mixed = pixels[:, :, order].astype(np.float32) + noise
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _paint(pen: ImageDraw.ImageDraw, thing: Thing, first_entry: int) -> None:
    icon = ICONS[FINE[thing.fine].name]
    turn = radians(thing.turn)
    across = thing.half_size * thing.squeeze * (-1 if thing.flipped else 1)
    down = thing.half_size / thing.squeeze
    matrix = np.array(
        [[across * cos(turn), across * sin(turn)], [-down * sin(turn), down * cos(turn)]]
    )
    corners = (icon.corners @ matrix + (thing.x, thing.y)).ravel().tolist()
    for slot, start, end in icon.parts:
        pen.polygon(corners[2 * start : 2 * end], fill=first_entry + slot)


def _pattern(indices: Pixels, thing: Thing, first_entry: int) -> None:
    if thing.texture == "solid":
        return
    reach = thing.half_size * 1.15
    rows, columns = (
        slice(max(0, int(at - reach)), min(CANVAS, int(at + reach) + 1))
        for at in (thing.y, thing.x)
    )
    part = indices[rows, columns]
    y, x = _ROWS[rows, columns] - thing.y, _COLUMNS[rows, columns] - thing.x
    period = max(8.0, thing.half_size * 0.3)
    if thing.texture == "striped":
        marks = (x + y * (0.35 if thing.flipped else -0.35)) % period < period * 0.46
    else:
        row = np.floor(y / period)
        dx = (x + (row % 2) * period / 2) % period - period / 2
        dy = y - (row + 0.5) * period
        marks = dx * dx + dy * dy < (period * 0.34) ** 2
    part[marks & (part == first_entry)] = first_entry + _PATTERN


@lru_cache(maxsize=len(RGB))
def _colours_of(colour: str) -> tuple[int, ...]:
    """Palette of a thing as r, g, b, r, ...: every slot, then its stripes or spots."""
    main = RGB[colour]
    luminance = 0.3 * main[0] + 0.59 * main[1] + 0.11 * main[2]
    pattern = _mixed(main, _WHITE, 0.82) if luminance < 125 else _mixed(main, _BLACK, 0.72)
    return (*main, *_mixed(main, _BLACK, 0.42), *_WHITE, *_BLACK, *pattern)


def _mixed(
    colour: tuple[int, int, int], other: tuple[int, int, int], share: float
) -> tuple[int, int, int]:
    red, green, blue = (
        round(a * (1 - share) + b * share) for a, b in zip(colour, other, strict=True)
    )
    return red, green, blue


@lru_cache(maxsize=2)
def backgrounds(seed: int) -> dict[str, Pixels]:
    """Pictures of each background, shape (24, 128, 128, 3): 45 % texture over 55 % flat colour."""
    made = {}
    for number, name in enumerate(BACKGROUNDS):
        pictures = [_background(name, seed, number * N_VARIANTS + i) for i in range(N_VARIANTS)]
        made[name] = np.stack(pictures)
    return made


@lru_cache(maxsize=2)
def _as_images(seed: int) -> dict[str, list[Image.Image]]:
    return {
        name: [Image.fromarray(one) for one in many] for name, many in backgrounds(seed).items()
    }


_FLAT: dict[str, tuple[int, int, int]] = {
    "meadow": (176, 200, 150),
    "beach": (226, 208, 168),
    "snow": (228, 234, 240),
    "street": (172, 168, 166),
    "lake": (160, 196, 214),
    "night": (52, 54, 84),
}
_MARKS: dict[str, tuple[int, int, int]] = {
    "meadow": (96, 140, 70),
    "beach": (184, 150, 104),
    "snow": (176, 194, 216),
    "street": (112, 108, 108),
    "lake": (236, 244, 248),
    "night": (226, 222, 180),
}


def _background(name: str, seed: int, number: int) -> Pixels:
    rng = stream(seed, "background", number)
    tint = 1 + (rng.random() - 0.5) * 0.14
    flat = np.asarray(_FLAT[name], np.float32) * tint
    sheet = Image.new("L", (CANVAS, CANVAS), 0)
    pen = ImageDraw.Draw(sheet)
    x_shift, y_shift = rng.random() * 30, rng.random() * 30
    if name == "street":
        for row in range(-1, 10):
            y = row * 15 + y_shift % 15
            pen.line((0, y, CANVAS, y), fill=255, width=2)
            for column in range(-1, 6):
                x = column * 27 + (row % 2) * 13 + x_shift
                pen.line((x, y, x, y + 15), fill=255, width=2)
    elif name == "lake":
        for row in range(12):
            y = row * 12 + y_shift % 12
            for column in range(-1, 5):
                x = column * 34 + (row % 2) * 17 + x_shift
                pen.arc((x, y - 6, x + 20, y + 4), 20, 160, fill=255, width=2)
    else:
        _scatter(pen, name, rng.random, {"meadow": 90, "beach": 150, "snow": 34, "night": 40}[name])
    share = (np.asarray(sheet, np.float32) / 255 * _TEXTURE_SHARE)[:, :, None]
    mixed = flat * (1 - share) + np.asarray(_MARKS[name], np.float32) * share
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _scatter(pen: ImageDraw.ImageDraw, name: str, draw_one: Callable[[], float], n: int) -> None:
    for _ in range(n):
        x, y, size = draw_one() * CANVAS, draw_one() * CANVAS, draw_one()
        if name == "meadow":
            pen.line((x, y, x - 3, y - 8 - 4 * size), fill=255, width=2)
            pen.line((x, y, x + 3, y - 7 - 4 * size), fill=255, width=2)
        elif name == "beach":
            pen.ellipse((x, y, x + 2 + 2 * size, y + 2), fill=255)
        elif name == "snow":
            radius = 4 + 5 * size
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        else:
            radius = 1 + 1.6 * size
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
